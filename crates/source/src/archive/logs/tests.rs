//! Files of logs: however logs are spread over them they read as one chain; what lies, contradicts or is hurt is named.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::archive::Archive;
use crate::archive::coverage::Coverage;

/// A market in an archive of its own.
pub(in crate::archive) struct Place {
    _folder: TempDir,
    pub(in crate::archive) archive: Archive,
    pub(in crate::archive) writer: Writer,
    pub(in crate::archive) market: MarketName,
}

pub(in crate::archive) fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    Place { _folder: folder, archive, writer, market: MarketName::new("m").unwrap() }
}

pub(in crate::archive) const CHAIN: ChainId = ChainId(1);

/// A block's hash in the history that all these tests are of.
pub(in crate::archive) fn hash_of(block: u64) -> B256 {
    let mut hash = B256::repeat_byte(0xb1);
    hash[24..].copy_from_slice(&block.to_be_bytes());
    hash
}

/// A log that follows from its place, its contract and its event.
pub(in crate::archive) fn push(logs: &mut Logs, block: u64, log_index: u32, address: u8, topics: u8) {
    let topics: Vec<B256> = (0..topics).map(|topic| B256::repeat_byte(address % 3 + 16 * topic)).collect();
    let data = vec![address; usize::from(address) * 7 + usize::try_from(block % 5).unwrap()];
    logs.push(&Log {
        block,
        block_hash: hash_of(block),
        time: 1_600_000_000 + 12 * block,
        transaction: B256::repeat_byte(u8::try_from(log_index / 3).unwrap()),
        transaction_index: log_index / 3,
        log_index,
        address: Address::repeat_byte(address),
        topics: &topics,
        data: &data,
    });
}

/// A chain's logs: for each block the contract that wrote each log.
fn chain(blocks: &[Vec<u8>]) -> Logs {
    let mut logs = Logs::default();
    for (block, writers) in (0..).zip(blocks) {
        for (log_index, address) in (0..).zip(writers) {
            push(&mut logs, block, log_index, *address, 1 + address % 4);
        }
    }
    logs
}

pub(in crate::archive) fn filter(addresses: &[u8]) -> Filter {
    Filter {
        addresses: addresses.iter().map(|address| Address::repeat_byte(*address)).collect(),
        topics: (0..3).map(B256::repeat_byte).collect(),
    }
}

fn only(logs: &Logs, keep: impl Fn(&Log<'_>) -> bool) -> Logs {
    let mut kept = Logs::default();
    logs.iter().filter(keep).for_each(|log| kept.push(&log));
    kept
}

/// Writes what a filter lets through of some blocks.
fn write(place: &Place, logs: &Logs, filter: &Filter, from: u64, to: u64) -> Result<PathBuf> {
    let mut file = LogsFile::create(&place.writer, &place.market, CHAIN, filter, from)?;
    file.append(&only(logs, |log| (from..=to).contains(&log.block) && filter.takes(log)))?;
    file.publish(to, hash_of(to), BTreeMap::new())
}

pub(in crate::archive) fn read(place: &Place, from: u64) -> Result<Logs> {
    let mut reader = LogReader::open(&place.archive, &place.market, from, None)?;
    let mut logs = Logs::default();
    while let Some(log) = reader.next_log()? {
        logs.push(&log);
    }
    Ok(logs)
}

fn message(result: Result<impl std::fmt::Debug>) -> String {
    result.unwrap_err().to_string()
}

const BLOCKS: u64 = 30;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_way_logs_are_spread_over_files_they_read_as_one_chain(
        blocks in prop::collection::vec(prop::collection::vec(0..5_u8, 0..6), 30),
        files in prop::collection::vec((prop::collection::vec(0..5_u8, 1..5), 0..BLOCKS, 0..12_u64), 0..7),
        from in 0..BLOCKS,
        at_least in 1..40_usize,
    ) {
        let (place, logs) = (place(), chain(&blocks));
        let files: Vec<_> = files
            .into_iter()
            .map(|(addresses, from, length)| (filter(&addresses), from, (from + length).min(BLOCKS - 1)))
            .collect();
        for (filter, from, to) in &files {
            write(&place, &logs, filter, *from, *to).unwrap();
        }
        let held = |log: &Log<'_>| {
            files.iter().any(|(filter, from, to)| filter.takes(log) && (*from..=*to).contains(&log.block))
        };
        let expected = only(&logs, |log| log.block >= from && held(log));
        prop_assert_eq!(&read(&place, from).unwrap(), &expected);
        let mut reader = LogReader::open(&place.archive, &place.market, from, None).unwrap();
        let (mut all, mut last) = (Logs::default(), None);
        loop {
            let mut some = Logs::default();
            let more = reader.read_blocks(&mut some, at_least).unwrap();
            let first = some.get(0).map(|log| log.block);
            prop_assert!(last.is_none() || first.is_none() || last < first, "a block is in two pieces");
            last = some.iter().next_back().map(|log| log.block);
            all.append(&some);
            if !more {
                break;
            }
            prop_assert!(some.len() >= at_least);
        }
        prop_assert_eq!(&all, &expected);
    }
}

#[test]
fn many_batches_and_row_groups_read_back() {
    let place = place();
    let mut logs = Logs::default();
    for block in 0..2_000 {
        for log_index in 0..u32::try_from(block % 13).unwrap() {
            push(&mut logs, block, log_index, u8::try_from(block % 3).unwrap(), 1 + u8::try_from(block % 4).unwrap());
        }
    }
    write(&place, &logs, &filter(&[0, 1]), 0, 1_500).unwrap();
    write(&place, &logs, &filter(&[1, 2]), 700, 1_999).unwrap();
    let expected = only(&logs, |log| match log.block {
        0..700 => log.address != Address::repeat_byte(2),
        700..=1_500 => true,
        _ => log.address != Address::ZERO,
    });
    assert_eq!(read(&place, 0).unwrap(), expected);
}

#[test]
fn a_range_read_again_is_kept_once_where_it_is_equal_and_beside_where_it_is_not() {
    let place = place();
    let logs = chain(&[vec![0, 1], vec![1], vec![2, 0, 1]]);
    let path = write(&place, &logs, &filter(&[0, 1]), 0, 2).unwrap();
    assert_eq!(write(&place, &logs, &filter(&[0, 1]), 0, 2).unwrap(), path, "nothing new");
    let poorer = only(&logs, |log| log.block != 1);
    let beside = write(&place, &poorer, &filter(&[0, 1]), 0, 2).unwrap();
    assert_ne!(beside, path, "what was read well is not replaced by what was read badly");
    assert_eq!(write(&place, &poorer, &filter(&[0, 1]), 0, 2).unwrap(), beside);
    assert_eq!(read(&place, 0).unwrap().len(), 5);
    let files = place.archive.market_files(&place.market, Table::Logs).unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!(files.iter().map(|file| filter_of(file).unwrap()).collect::<Vec<_>>(), vec![filter(&[0, 1]); 2]);
}

#[test]
fn whatever_anybody_wrote_can_be_asked_for_and_needs_no_topic() {
    let place = place();
    let mut logs = Logs::default();
    push(&mut logs, 3, 0, 7, 0);
    push(&mut logs, 3, 1, 9, 4);
    write(&place, &logs, &Filter::default(), 2, 5).unwrap();
    assert_eq!(read(&place, 0).unwrap(), logs);
    let coverage = Coverage::of(&place.archive.market_files(&place.market, Table::Logs).unwrap()).unwrap();
    let jobs = coverage.missing(&[(Address::ZERO, 0)], &filter(&[]).topics, 9);
    assert_eq!(jobs.iter().map(|job| (job.from, job.to)).collect::<Vec<_>>(), [(0, 1), (6, 9)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// However logs lie in files, whole or twice or beyond the block: those up to a block are as many as they are.
    #[test]
    fn logs_are_counted_once_each(
        blocks in prop::collection::vec(prop::collection::vec(0..5_u8, 0..6), 30),
        files in prop::collection::vec((prop::collection::vec(0..5_u8, 1..5), 0..BLOCKS, 0..12_u64), 0..7),
        to in 0..BLOCKS,
    ) {
        let (place, logs) = (place(), chain(&blocks));
        for (addresses, from, length) in &files {
            write(&place, &logs, &filter(addresses), *from, (from + length).min(BLOCKS - 1)).unwrap();
        }
        let held = read(&place, 0).unwrap();
        let files = place.archive.market_files(&place.market, Table::Logs).unwrap();
        let expected = held.iter().filter(|log| log.block <= to).count() as u64;
        prop_assert_eq!(count_to(files, to).unwrap(), expected);
    }
}

#[test]
fn what_contradicts_itself_is_not_written() {
    let place = place();
    let logs = chain(&[vec![0, 1], vec![1], vec![2]]);
    let begin = || LogsFile::create(&place.writer, &place.market, CHAIN, &filter(&[0, 1]), 1).unwrap();
    let push = |file: &mut LogsFile, log| file.push(&logs.get(log).unwrap());
    assert!(message(push(&mut begin(), 0)).contains("out of order"), "before the range");
    assert!(message(push(&mut begin(), 3)).contains("was not asked for"));
    let mut file = begin();
    push(&mut file, 2).unwrap();
    assert!(message(push(&mut file, 2)).contains("out of order"), "twice");
    let mut other = logs.get(2).unwrap();
    (other.log_index, other.block_hash) = (7, B256::ZERO);
    assert!(message(file.push(&other)).contains("do not agree"));
    assert!(message(file.publish(1, B256::ZERO, BTreeMap::new())).contains("do not end"));
    assert!(message(begin().publish(0, B256::ZERO, BTreeMap::new())).contains("do not end"));
    let folder = place.archive.market_folder(&place.market, Table::Logs);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "and nothing is left of it");
}

#[test]
fn files_that_contradict_each_other_are_both_named() {
    let altered = |change: &dyn Fn(&mut Log<'_>), end: B256, own: &[u8]| {
        let place = place();
        let logs = chain(&[vec![0, 1], vec![1], vec![1, 0]]);
        let first = write(&place, &logs, &filter(&[0, 1]), 0, 2).unwrap();
        let mut file = LogsFile::create(&place.writer, &place.market, CHAIN, &filter(own), 0).unwrap();
        for log in logs.iter().filter(|log| filter(own).takes(log)) {
            let mut log = log;
            change(&mut log);
            file.push(&log).unwrap();
        }
        let second = file.publish(3, end, BTreeMap::new()).unwrap();
        let said = message(read(&place, 0));
        assert!([&first, &second].iter().all(|path| said.contains(&path.display().to_string())), "{said}");
        said
    };
    let hash = |log: &mut Log<'_>| {
        if log.block == 1 {
            log.block_hash = B256::ZERO;
        }
    };
    assert!(altered(&|log| log.data = b"other", hash_of(3), &[1]).contains("holds another log"));
    assert!(altered(&hash, hash_of(3), &[1]).contains("holds another log 0 of block 1"));
    let end = |log: &mut Log<'_>| {
        if log.block == 2 {
            log.block_hash = B256::ZERO;
            log.log_index += 5;
        }
    };
    assert!(altered(&end, hash_of(3), &[1]).contains("knows block 2 by another hash"));
}

#[test]
fn two_files_of_two_histories_are_refused_though_they_have_no_log() {
    let place = place();
    for (address, end) in [(1, B256::ZERO), (2, B256::repeat_byte(1))] {
        let file = LogsFile::create(&place.writer, &place.market, CHAIN, &filter(&[address]), 0).unwrap();
        file.publish(9, end, BTreeMap::new()).unwrap();
    }
    assert!(message(read(&place, 0)).contains("knows block 9 by another hash"));
}

/// Writes a file whose footer is what a test makes of it.
fn write_lying(place: &Place, name: &str, change: impl FnOnce(&mut Footer)) {
    let folder = place.archive.market_folder(&place.market, Table::Logs);
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), properties()).unwrap();
    let mut columns = LogColumns::default();
    chain(&[vec![], vec![], vec![0], vec![0, 0]]).iter().for_each(|log| columns.push(&log));
    file.write(&RecordBatch::try_new(SCHEMA.clone(), columns.take()).unwrap()).unwrap();
    let complete = Some(Complete { end_hash: hash_of(3), filter_hash: filter(&[0]).hash() });
    let mut notes = BTreeMap::from([("market".to_owned(), "m".to_owned())]);
    notes.extend(filter_notes(&filter(&[0])));
    let span = Span::Blocks { chain: CHAIN, from: 2, to: 3, complete };
    let mut footer = Footer { table: Table::Logs, standing: Standing::Observed, span, notes };
    change(&mut footer);
    file.publish(&footer, name).unwrap();
}

#[test]
fn a_file_that_is_not_what_its_place_name_or_footer_says_is_named() {
    let with_span = |from, to| {
        move |footer: &mut Footer| {
            let complete = Some(Complete { end_hash: hash_of(to), filter_hash: filter(&[0]).hash() });
            footer.span = Span::Blocks { chain: CHAIN, from, to, complete };
        }
    };
    type Change = Box<dyn FnOnce(&mut Footer)>;
    let cases: [(&str, Change, &str); 8] = [
        ("000000000002-000000000003-x.parquet", Box::new(|_| {}), ""),
        (
            "000000000002-000000000002-x.parquet",
            Box::new(with_span(2, 2)),
            "holds a log of block 3, and says blocks 2 to 2",
        ),
        ("000000000003-000000000003-x.parquet", Box::new(with_span(3, 3)), "holds a log of block 2"),
        ("000000000002-000000000009-x.parquet", Box::new(|_| {}), "its name says otherwise"),
        ("x.parquet", Box::new(with_span(3, 2)), "blocks 3 to 2"),
        ("x.parquet", Box::new(|footer| footer.table = Table::Reads), "belongs to the table reads"),
        ("x.parquet", Box::new(|footer| footer.notes.clear()), "another market"),
        ("x.parquet", Box::new(|footer| footer.span = Span::Empty), "does not say which blocks"),
    ];
    for (name, change, expected) in cases {
        let place = place();
        write_lying(&place, name, change);
        if expected.is_empty() {
            assert_eq!(read(&place, 0).unwrap().len(), 3);
            continue;
        }
        let said = message(read(&place, 0));
        assert!(said.contains(expected) && said.contains(name), "{name}: {said}");
    }
    let place = place();
    write_lying(&place, "x.parquet", |footer| _ = footer.notes.insert(ADDRESSES.to_owned(), String::new()));
    let files = place.archive.market_files(&place.market, Table::Logs).unwrap();
    assert!(message(filter_of(&files[0])).contains("which logs were asked for"));
}

/// The tail has rows that are blocks; a finished file has none, and no log is older than the clock.
#[test]
fn a_row_that_is_no_log_is_damage_where_all_must_be() {
    let mut logs = Logs::default();
    push(&mut logs, 1, 0, 3, 4);
    let mut columns = LogColumns::default();
    columns.push_block(1, 5, &hash_of(1));
    logs.iter().for_each(|log| columns.push(&log));
    let (path, schema) = (Path::new("some.parquet"), Arc::new(Schema::new(fields(true))));
    let mut columns = columns.take();
    let batch = RecordBatch::try_new(schema.clone(), columns.clone()).unwrap();
    let rows = Rows::of_batch(path, &batch).unwrap();
    assert_eq!([0, 1].map(|row| rows.is_log(row)), [false, true]);
    assert_eq!(Some(rows.log(1, &mut [B256::ZERO; MAX_TOPICS])), logs.get(0));
    assert!(message(Rows::of_logs(path, &batch)).contains("a row is no log"));
    columns[1] = Arc::new(TimestampMicrosecondArray::from(vec![0, -1]).with_timezone("UTC"));
    let batch = RecordBatch::try_new(schema, columns).unwrap();
    assert!(message(Rows::of_batch(path, &batch)).contains("before 1970"));
    let rows = Rows::copied(path, &logs).unwrap();
    assert_eq!((rows.len(), rows.key(0)), (1, (1, 0)));
}

#[test]
fn a_file_that_is_set_aside_is_missing_and_not_lost() {
    let place = place();
    let logs = chain(&vec![vec![0, 1]; 10]);
    for again in 1..3 {
        let path = write(&place, &logs, &filter(&[0, 1]), 0, 9).unwrap();
        let whole = fs::read(&path).unwrap();
        let file = DataFile::open(path.clone()).unwrap();
        let coverage = || Coverage::of(&place.archive.market_files(&place.market, Table::Logs).unwrap()).unwrap();
        let missing = || coverage().missing(&[(Address::ZERO, 2)], &filter(&[0]).topics, 9).len();
        assert_eq!(missing(), 0);
        let aside = set_aside(&place.writer, &file).unwrap();
        assert_eq!(fs::read(aside).unwrap(), whole);
        assert_eq!((missing(), read(&place, 0).unwrap().len()), (1, 0));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), again);
    }
}

#[test]
fn a_file_that_is_cut_off_or_garbled_is_an_error_wherever_it_is_hurt() {
    let place = place();
    let logs = chain(&vec![vec![0, 1, 2, 3, 4]; 60]);
    let path = write(&place, &logs, &filter(&[0, 1, 2, 3, 4]), 0, 59).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        fs::write(&path, &whole[..length]).unwrap();
        let said = message(read(&place, 0));
        assert!(said.contains(&path.display().to_string()), "{said}");
    }
    for hurt in (4..whole.len()).step_by(whole.len() / 150) {
        let mut bytes = whole.clone();
        bytes[hurt] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        // What is hurt may be a value that nothing contradicts; it must not be a panic.
        if let Err(cause) = read(&place, 0) {
            assert!(cause.to_string().contains(&path.display().to_string()), "{cause}");
        }
    }
    fs::write(&path, b"PAR1 somebody's notes").unwrap();
    assert!(message(read(&place, 0)).contains("damaged"));
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("txt"), b"somebody's notes").unwrap();
    assert!(read(&place, 0).unwrap().is_empty(), "what is no Parquet file is nobody's business");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_of_the_usual_kind() {
    let place = place();
    fs::write(place.archive.root().join("logs"), b"a file where a folder should be").unwrap();
    let cause = LogsFile::create(&place.writer, &place.market, CHAIN, &filter(&[1]), 0).unwrap_err();
    assert!(matches!(cause, Error::Io { .. }), "{cause}");
}

#[test]
fn what_a_killed_writer_left_is_swept_and_a_market_is_listed_by_any_of_its_tables() {
    let place = place();
    let folder = place.archive.market_folder(&place.market, Table::Reads);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(".12-0.part"), b"half").unwrap();
    fs::create_dir_all(place.archive.root().join("proofs/reconciliations")).unwrap();
    assert_eq!(place.archive.markets().unwrap(), [MarketName::new("m").unwrap()]);
    let Place { archive, writer, _folder: _kept, .. } = place;
    drop(writer);
    Writer::open(&archive).unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

/// What a synced Aave market looks like, for sizes and speed: `cargo test --release -p source speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, which decides nothing"]
fn sizes_and_speed() {
    let place = place();
    let logs = market_like(1_000_000);
    let filter = Filter {
        addresses: logs.iter().map(|log| log.address).collect(),
        topics: logs.iter().map(|log| log.topics[0]).collect(),
    };
    let last = logs.get(logs.len() - 1).unwrap();
    let mut file = LogsFile::create(&place.writer, &place.market, CHAIN, &filter, 0).unwrap();
    file.append(&logs).unwrap();
    let path = file.publish(last.block, last.block_hash, BTreeMap::new()).unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    let data = DataFile::open(path).unwrap();
    println!("{:.1} bytes a log", million(usize::try_from(bytes).unwrap()) / million(logs.len()));
    for column in data.column_sizes() {
        println!(
            "  {:<18} {:>6.2} bytes a log, {:>6.2} before compression",
            column.0,
            million(column.1) / million(logs.len()),
            million(column.2) / million(logs.len())
        );
    }
    for _ in 0..3 {
        let begun = cpu_seconds();
        let mut reader = LogReader::open(&place.archive, &place.market, 0, None).unwrap();
        let mut count = 0;
        while let Some(log) = reader.next_log().unwrap() {
            count += usize::from(!log.data.is_empty());
        }
        assert!(count > 0);
        println!("read: {:.2} M logs per CPU-second", million(logs.len()) / (cpu_seconds() - begun));
    }
}

#[test]
#[ignore = "a measurement, which decides nothing"]
fn speed_of_many_overlapping_files() {
    let place = place();
    let logs = market_like(300_000);
    let topics: BTreeSet<B256> = logs.iter().map(|log| log.topics[0]).collect();
    let last = logs.get(logs.len() - 1).unwrap();
    let addresses: BTreeSet<Address> = logs.iter().map(|log| log.address).collect();
    for address in &addresses {
        let filter = Filter { addresses: [*address].into(), topics: topics.clone() };
        let mut file = LogsFile::create(&place.writer, &place.market, CHAIN, &filter, 0).unwrap();
        file.append(&only(&logs, |log| log.address == *address)).unwrap();
        file.publish(last.block, last.block_hash, BTreeMap::new()).unwrap();
    }
    let begun = cpu_seconds();
    let mut reader = LogReader::open(&place.archive, &place.market, 0, None).unwrap();
    let mut count = 0;
    while reader.next_log().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, logs.len());
    let speed = million(logs.len()) / (cpu_seconds() - begun);
    println!("read from {} files: {speed:.2} M logs per CPU-second", addresses.len());
}

/// What this thread has spent of a processor, where the system tells: others may be busy on the same machine.
fn cpu_seconds() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "for eyes")]
fn million(count: usize) -> f64 {
    count as f64 / 1e6
}

/// Logs as the pool and the tokens of a market write them: a supply or borrow is four or five logs of one transaction, with
/// words that are indexes and amounts, for accounts of which few are busy.
fn market_like(count: usize) -> Logs {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chance = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let hash = |number: u64| alloy_primitives::keccak256(number.to_be_bytes());
    let account = |number: u64| Address::from_word(hash(number)).into_word();
    let word = |value: u128| B256::from(alloy_primitives::U256::from(value));
    let mut logs = Logs::default();
    let (mut block, mut log_index, mut transaction) = (16_291_127_u64, 0_u32, 0_u64);
    while logs.len() < count {
        if chance(3) > 0 {
            block += 1 + chance(4);
            log_index = 0;
        }
        transaction += 1;
        log_index += 1 + u32::try_from(chance(60)).unwrap();
        let busy = if chance(3) == 0 { chance(500) } else { chance(100_000) };
        let (reserve, user) = (chance(40), account(1_000 + busy));
        let index = 1_000_000_000_000_000_000_000_000_000_u128 + u128::from(block) * 9_000_000_000_123;
        let amount = u128::from(chance(1 << 50)) * u128::from(chance(1 << 20));
        let token = Address::from_word(hash(100 + reserve));
        let words = |values: &[u128]| values.iter().flat_map(|value| word(*value).0).collect::<Vec<u8>>();
        let rate = u128::from(chance(1 << 60)) * 50_000_000;
        let shapes: [(Address, Vec<B256>, Vec<u8>); 4] = [
            (
                Address::from_word(hash(1)),
                vec![hash(10), account(reserve)],
                words(&[rate, 0, rate * 2, index, index + rate]),
            ),
            (token, vec![hash(11), user, user], words(&[amount, amount / 1_000, index])),
            (token, vec![hash(12), user], words(&[amount, index])),
            (
                Address::from_word(hash(1)),
                vec![hash(13 + chance(4)), account(reserve), user, B256::ZERO],
                [user.0.to_vec(), words(&[amount])].concat(),
            ),
        ];
        for (address, topics, data) in &shapes {
            logs.push(&Log {
                block,
                block_hash: hash(block),
                time: 1_672_531_200 + (block - 16_291_127) * 12,
                transaction: hash(1 << 40 | transaction),
                transaction_index: log_index / 4,
                log_index,
                address: *address,
                topics,
                data,
            });
            log_index += 1;
        }
    }
    logs
}
