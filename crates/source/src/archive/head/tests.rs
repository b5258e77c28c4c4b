//! The tail: what it takes, what it refuses, and every way in which a process can die while it moves on.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::archive::LogReader;
use crate::archive::logs::tests::{CHAIN, Place, filter, hash_of, place, push};

fn block(number: u64) -> Block {
    Block {
        number,
        hash: hash_of(number),
        parent_hash: hash_of(number.wrapping_sub(1)),
        time: 1_600_000_000 + 12 * number,
    }
}

/// The logs of a block, which follow from its number.
fn logs_of(number: u64) -> Logs {
    let mut logs = Logs::default();
    for log_index in 0..u32::try_from(number * 7 % 4).unwrap() {
        push(&mut logs, number, log_index, u8::try_from(number % 3).unwrap(), 2);
    }
    logs
}

fn all() -> Filter {
    filter(&[0, 1, 2])
}

fn tail_of(from: u64, to: u64) -> Tail {
    let mut tail = Tail::new(CHAIN, all());
    for number in from..=to {
        tail.push(block(number), &logs_of(number)).unwrap();
    }
    tail
}

fn logs_from(from: u64, to: u64) -> Logs {
    let mut logs = Logs::default();
    (from..=to).for_each(|number| logs.append(&logs_of(number)));
    logs
}

fn read(place: &Place, tail: Option<&Tail>, from: u64) -> Logs {
    let mut reader = LogReader::open(&place.archive, &place.market, from, tail).unwrap();
    let mut logs = Logs::default();
    while reader.read_blocks(&mut logs, 5).unwrap() {}
    logs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_tail_reads_back_and_moves_on_without_losing_or_doubling_a_log(
        length in 1..30_u64,
        steps in prop::collection::vec((0..30_u64, 0..4_u8), 1..6),
        from in 1..30_u64,
    ) {
        let place = place();
        let mut tail = tail_of(1, length);
        for (up_to, death) in steps {
            tail.save(&place.writer, &place.market).unwrap();
            match death {
                // Killed after the file of logs, before the tail was rewritten.
                0 => _ = tail.publish_final(&place.writer, &place.market, up_to).unwrap(),
                // Killed before anything, or while writing the file of logs.
                1 => {
                    let folder = place.archive.market_folder(&place.market, Table::Logs);
                    fs::create_dir_all(&folder).unwrap();
                    fs::write(folder.join(".1-0.part"), b"half a file").unwrap();
                }
                _ => _ = tail.promote(&place.writer, &place.market, up_to).unwrap(),
            }
            let loaded = Tail::load(&place.archive, &place.market).unwrap().unwrap();
            prop_assert_eq!(&loaded, &tail);
            prop_assert_eq!(read(&place, Some(&loaded), from), logs_from(from, length));
        }
        tail.promote(&place.writer, &place.market, length).unwrap();
        prop_assert!(Tail::load(&place.archive, &place.market).unwrap().unwrap().blocks().is_empty());
        prop_assert_eq!(read(&place, None, from), logs_from(from, length));
    }

    #[test]
    fn blocks_taken_off_either_end_take_their_logs_with_them(length in 1..20_u64, to in 0..25_u64, up_to in 0..25_u64) {
        let mut tail = tail_of(1, length);
        prop_assert_eq!(tail.rewind(to), usize::try_from(length.saturating_sub(to)).unwrap());
        prop_assert_eq!(&tail, &tail_of(1, to.min(length)));
        tail.forget(up_to);
        let expected = if up_to < length.min(to) { tail_of(up_to + 1, to.min(length)) } else { Tail::new(CHAIN, all()) };
        prop_assert_eq!(&tail, &expected);
        prop_assert_eq!(tail.block(up_to + 1), expected.blocks().first());
        prop_assert_eq!(tail.block(up_to), None);
    }
}

#[test]
fn only_what_stands_on_the_tail_and_is_of_its_block_is_taken() {
    let mut tail = tail_of(1, 6);
    let before = tail.clone();
    let other_parent = Block { parent_hash: B256::ZERO, ..block(7) };
    let not_asked = |logs: &mut Logs| push(logs, 7, 0, 9, 1);
    let mut foreign = Logs::default();
    not_asked(&mut foreign);
    for (block, logs) in [
        (block(6), logs_of(6)),
        (block(8), logs_of(8)),
        (other_parent, logs_of(7)),
        (block(7), logs_of(6)),
        (Block { time: 5, ..block(7) }, logs_of(7)),
        (Block { hash: B256::ZERO, ..block(7) }, logs_of(7)),
        (block(7), foreign),
    ] {
        assert!(tail.push(block, &logs).is_err(), "{block:?}");
        assert_eq!(tail, before);
    }
    tail.push(block(7), &logs_of(7)).unwrap();
}

#[test]
fn a_tail_on_file_that_does_not_hang_together_is_refused() {
    let place = place();
    assert!(Tail::load(&place.archive, &place.market).unwrap().is_none(), "there is none yet");
    let refused = |change: &dyn Fn(&mut Tail)| {
        let mut tail = tail_of(1, 9);
        change(&mut tail);
        tail.save(&place.writer, &place.market).unwrap();
        Tail::load(&place.archive, &place.market).unwrap_err().to_string()
    };
    assert!(refused(&|tail| tail.blocks[4].parent_hash = B256::ZERO).contains("does not stand on block 4"));
    assert!(refused(&|tail| tail.blocks[4].hash = B256::ZERO).contains("block 5"));
    assert!(refused(&|tail| _ = tail.blocks.remove(3)).contains("block 5"));
    assert!(refused(&|tail| tail.filter = filter(&[1])).contains("none of its own"));
    let path = tail_of(1, 9).save(&place.writer, &place.market).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(Tail::load(&place.archive, &place.market).unwrap_err().to_string().contains("tail.parquet"));
}

#[test]
fn a_tail_of_another_history_than_the_files_is_refused() {
    let place = place();
    let mut tail = tail_of(1, 9);
    tail.publish_final(&place.writer, &place.market, 4).unwrap();
    tail.blocks[3].hash = B256::ZERO;
    let said = LogReader::open(&place.archive, &place.market, 0, Some(&tail)).unwrap_err().to_string();
    assert!(said.contains("knows block 4 by another hash") && said.contains("tail.parquet"), "{said}");
}
