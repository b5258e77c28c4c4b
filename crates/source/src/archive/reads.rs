//! The table `reads`: what nodes answered to calls at given blocks. Files are only ever added.
//!
//! A call at a block has one answer. A second answer that differs is an error that names both, on its way in as on its way out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use alloy_primitives::Bytes;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, StringBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use protocol::Address;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;

use super::cells::{self, Columns};
use super::scan::damaged;
use super::{Archive, DataFile, Footer, MarketName, PendingFile, Scan, Span, Table, Writer};
use crate::error::{Error, Result};

/// Rows handed to the file at a time: answers can be long.
const BATCH_ROWS: usize = 1_024;

/// The columns, in order. `answer` is what came back, or where `reverted` what the revert carried; `host` is who answered and
/// `read_at` when.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("block", DataType::UInt64, false),
        cells::bytes("target", 20, false),
        Field::new("data", DataType::Binary, false),
        Field::new("reverted", DataType::Boolean, false),
        Field::new("answer", DataType::Binary, false),
        Field::new("host", DataType::Utf8, false),
        cells::moment("read_at"),
    ]))
});

/// What was asked: a call at the end of a block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadKey {
    /// The block.
    pub block: u64,
    /// The contract.
    pub target: Address,
    /// The call data.
    pub data: Bytes,
}

/// What came back. A revert is an answer too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What the call returned.
    Returned(Bytes),
    /// It reverted, with this.
    Reverted(Bytes),
}

/// An answer, and who gave it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What came back.
    pub answer: Answer,
    /// The endpoint's host.
    pub host: Arc<str>,
    /// When it was asked.
    pub read_at: TimeUs,
}

/// Answers by what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    answers: BTreeMap<ReadKey, Answered>,
}

impl Reads {
    /// What a market's files hold of the blocks `from` to `to`. All of it is in memory: a long history is best folded in
    /// stretches.
    ///
    /// # Errors
    /// A file is damaged, or two answers to the same call differ.
    pub fn load(archive: &Archive, market: &MarketName, from: u64, to: u64) -> Result<Self> {
        let files = archive.market_files_from(market, Table::Reads, from)?;
        let mut reads = Self::default();
        let mut hosts: BTreeMap<String, Arc<str>> = BTreeMap::new();
        let inside = |file: &&DataFile| file.blocks().is_some_and(|(first, last)| first <= to && from <= last);
        for file in files.iter().filter(inside) {
            for chunk in Scan::of_all().of_blocks(from, to).chunks(std::slice::from_ref(file)) {
                for batch in chunk.read()? {
                    let batch = batch?;
                    let columns = Columns { path: &file.path, batch: &batch };
                    read_batch(columns, &mut hosts, |key, answered| {
                        if file.blocks().is_none_or(|(first, last)| key.block < first || last < key.block) {
                            return Err(damaged(&file.path, format!("block {} lies outside its range", key.block)));
                        }
                        if (from..=to).contains(&key.block) {
                            reads.insert(key, answered).map_err(|cause| cause.about(&file.path))?;
                        }
                        Ok(())
                    })?;
                }
            }
        }
        Ok(reads)
    }

    /// Adds an answer. Returns whether it is new; the same one again, from whomever, is not.
    ///
    /// # Errors
    /// The call has another answer already.
    pub fn insert(&mut self, key: ReadKey, answered: Answered) -> Result<bool> {
        match self.answers.get(&key) {
            None => {
                self.answers.insert(key, answered);
                Ok(true)
            }
            Some(known) if known.answer == answered.answer => Ok(false),
            Some(known) => Err(contradiction(&key, known, &answered)),
        }
    }

    /// The answer to a call at a block.
    #[must_use]
    pub fn get(&self, key: &ReadKey) -> Option<&Answer> {
        self.answers.get(key).map(|answered| &answered.answer)
    }

    /// Which of these calls have no answer yet, each once, in order.
    #[must_use]
    pub fn missing(&self, wanted: &[ReadKey]) -> Vec<ReadKey> {
        let mut missing: Vec<ReadKey> = wanted.iter().filter(|key| !self.answers.contains_key(key)).cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// All answers by block, contract and call.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ReadKey, &Answered)> {
        self.answers.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Writes all of it as one more file of a market. What the market's other files hold already should not be among it;
    /// where it is, it is read once. Returns where it lies, or `None` where there is nothing to write.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn append_to(&self, writer: &Writer, market: &MarketName, chain: ChainId) -> Result<Option<PathBuf>> {
        let (Some((first, _)), Some((last, _))) = (self.answers.first_key_value(), self.answers.last_key_value())
        else {
            return Ok(None);
        };
        let folder = writer.archive().market_folder(market, Table::Reads);
        let properties = cells::as_differences(cells::compressed(65_536), &["block", "read_at"]).build();
        let mut file = PendingFile::create(&folder, SCHEMA.clone(), properties)?;
        let mut rows = self.answers.iter().peekable();
        while rows.peek().is_some() {
            let batch = batch_of(rows.by_ref().take(BATCH_ROWS));
            file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
        }
        let span = Span::Blocks { chain, from: first.block, to: last.block, complete: None };
        let stem = span.file_stem();
        let notes = BTreeMap::from([("market".to_owned(), market.to_string())]);
        let footer = Footer { table: Table::Reads, standing: Standing::Observed, span, notes };
        let finished = file.finish(&footer)?;
        let name = format!("{stem}-{}.parquet", finished.id()?);
        finished.publish(&name).map(Some)
    }
}

fn batch_of<'a>(
    rows: impl Iterator<Item = (&'a ReadKey, &'a Answered)>,
) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
    let (mut blocks, mut targets) = (UInt64Builder::new(), FixedSizeBinaryBuilder::new(20));
    let (mut data, mut answers, mut reverted) = (BinaryBuilder::new(), BinaryBuilder::new(), BooleanBuilder::new());
    let (mut hosts, mut times) = (StringBuilder::new(), TimestampMicrosecondBuilder::new().with_timezone("UTC"));
    for (key, answered) in rows {
        let (is_revert, answer) = match &answered.answer {
            Answer::Returned(answer) => (false, answer),
            Answer::Reverted(answer) => (true, answer),
        };
        blocks.append_value(key.block);
        targets.append_value(key.target).expect("an address has 20 bytes");
        data.append_value(&key.data);
        reverted.append_value(is_revert);
        answers.append_value(answer);
        hosts.append_value(&answered.host);
        times.append_value(answered.read_at.0);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(blocks.finish()),
        Arc::new(targets.finish()),
        Arc::new(data.finish()),
        Arc::new(reverted.finish()),
        Arc::new(answers.finish()),
        Arc::new(hosts.finish()),
        Arc::new(times.finish()),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns)
}

fn read_batch(
    columns: Columns<'_>,
    hosts: &mut BTreeMap<String, Arc<str>>,
    mut take: impl FnMut(ReadKey, Answered) -> Result<()>,
) -> Result<()> {
    let block = columns.full::<UInt64Array>("block")?;
    let target = columns.full_bytes::<20>("target")?;
    let (data, answer) = (columns.full::<BinaryArray>("data")?, columns.full::<BinaryArray>("answer")?);
    let reverted = columns.full::<BooleanArray>("reverted")?;
    let host = columns.full::<StringArray>("host")?;
    let read_at = columns.full::<TimestampMicrosecondArray>("read_at")?;
    for (row, target) in target.iter().enumerate() {
        let (data, answer) = (Bytes::copy_from_slice(data.value(row)), Bytes::copy_from_slice(answer.value(row)));
        let key = ReadKey { block: block.value(row), target: Address::new(*target), data };
        let answer = if reverted.value(row) { Answer::Reverted(answer) } else { Answer::Returned(answer) };
        let host = hosts.entry(host.value(row).to_owned()).or_insert_with_key(|host| host.as_str().into()).clone();
        take(key, Answered { answer, host, read_at: TimeUs(read_at.value(row)) })?;
    }
    Ok(())
}

/// Two answers to one call, of which one must be wrong.
fn contradiction(key: &ReadKey, known: &Answered, other: &Answered) -> Error {
    let selector: String = key.data.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Error::Unfit {
        what: format!(
            "the call 0x{selector} to {} at block {} has two answers, from {} at {} and from {} at {}",
            key.target, key.block, known.host, known.read_at, other.host, other.read_at
        ),
        advice: "ask a third endpoint, and leave out the one that is wrong; its file can be moved away and is then read anew"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::logs::tests::{CHAIN, place};

    fn key(block: u64, target: u8, data: u8) -> ReadKey {
        ReadKey { block, target: Address::repeat_byte(target), data: vec![data; usize::from(data)].into() }
    }

    fn answered(answer: u8, host: &str) -> Answered {
        let bytes = Bytes::from(vec![answer; usize::from(answer)]);
        let answer = if answer % 5 == 1 { Answer::Reverted(bytes) } else { Answer::Returned(bytes) };
        Answered { answer, host: host.into(), read_at: TimeUs(1_700_000_000_000_000) }
    }

    /// The one answer a call has.
    fn answer_to(key: &ReadKey) -> Answered {
        let sum = key.block + u64::from(key.target[0]) + u64::try_from(key.data.len()).unwrap();
        answered(u8::try_from(sum % 40).unwrap(), "node.example")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_appended_in_any_number_of_files_is_found_again(
            files in prop::collection::vec(prop::collection::vec((0..30_u64, 0..4_u8, 0..6_u8), 0..20), 0..4),
            (from, to) in (0..30_u64, 0..30_u64),
            wanted in prop::collection::vec((0..30_u64, 0..4_u8, 0..6_u8), 0..20),
        ) {
            let place = place();
            let mut all = Reads::default();
            for file in &files {
                let mut reads = Reads::default();
                for (block, target, data) in file {
                    let key = key(*block, *target, *data);
                    all.insert(key.clone(), answer_to(&key)).unwrap();
                    reads.insert(key.clone(), answer_to(&key)).unwrap();
                }
                let path = reads.append_to(&place.writer, &place.market, CHAIN).unwrap();
                prop_assert_eq!(path.is_none(), reads.is_empty());
            }
            prop_assert_eq!(&Reads::load(&place.archive, &place.market, 0, u64::MAX).unwrap(), &all);
            let some = Reads::load(&place.archive, &place.market, from, to).unwrap();
            let expected: Vec<_> = all.iter().filter(|(key, _)| (from..=to).contains(&key.block)).collect();
            prop_assert_eq!(some.iter().collect::<Vec<_>>(), expected);
            let wanted: Vec<_> = wanted.iter().map(|(block, target, data)| key(*block, *target, *data)).collect();
            let missing = some.missing(&wanted);
            prop_assert!(missing.windows(2).all(|pair| pair[0] < pair[1]));
            for key in wanted {
                prop_assert_eq!(some.get(&key).is_none(), missing.contains(&key));
            }
        }
    }

    #[test]
    fn a_second_answer_that_differs_names_both_who_gave_them() {
        let mut reads = Reads::default();
        assert!(reads.insert(key(7, 1, 2), answered(3, "one.example")).unwrap());
        assert!(!reads.insert(key(7, 1, 2), answered(3, "two.example")).unwrap(), "the same answer from another");
        let said = reads.insert(key(7, 1, 2), answered(4, "two.example")).unwrap_err().to_string();
        for part in ["0x0202 ", "block 7", "one.example", "two.example"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let reverted = Answered { answer: Answer::Reverted(vec![3; 3].into()), ..answered(3, "two.example") };
        assert!(reads.insert(key(7, 1, 2), reverted).is_err(), "a revert is not what it carries");
        assert_eq!(reads.get(&key(7, 1, 2)), Some(&answered(3, "").answer), "the first stays");

        let place = place();
        reads.append_to(&place.writer, &place.market, CHAIN).unwrap();
        let mut other = Reads::default();
        other.insert(key(7, 1, 2), answered(4, "two.example")).unwrap();
        other.append_to(&place.writer, &place.market, CHAIN).unwrap();
        let said = Reads::load(&place.archive, &place.market, 0, 9).unwrap_err().to_string();
        assert!(said.contains("one.example") && said.contains("two.example") && said.contains(".parquet"), "{said}");
        assert_eq!(Reads::load(&place.archive, &place.market, 8, 9).unwrap().len(), 0);
    }
}
