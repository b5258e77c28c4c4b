//! The table `proofs`: what was found when the logs of a range were checked. Files are only ever added; a failed check stays on
//! record, and a later one that passes stands over it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    BooleanBuilder, FixedSizeBinaryBuilder, StringBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::{Address, B256};

use super::cells::{self, Columns};
use super::coverage::Ranges;
use super::scan::damaged;
use super::{Archive, Footer, MarketName, PendingFile, Scan, Span, Table, Writer};
use crate::error::{Error, Result};

/// The columns, in order. `whole` says whether everything in the range was checked or a sample; `filter_hash` names the
/// addresses and topics the checked logs were read with; `hosts` are separated by spaces.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("level", DataType::Utf8, false),
        Field::new("market", DataType::Utf8, false),
        Field::new("chain_id", DataType::UInt64, false),
        Field::new("from_block", DataType::UInt64, false),
        Field::new("to_block", DataType::UInt64, false),
        cells::bytes("filter_hash", 32, false),
        Field::new("what", DataType::Utf8, false),
        Field::new("whole", DataType::Boolean, false),
        Field::new("checked", DataType::UInt64, false),
        Field::new("wrong", DataType::UInt64, false),
        Field::new("not_provable", DataType::UInt64, false),
        Field::new("wrong_block", DataType::UInt64, true),
        cells::bytes("wrong_reserve", 20, true),
        cells::bytes("wrong_account", 20, true),
        Field::new("wrong_what", DataType::Utf8, true),
        Field::new("hosts", DataType::Utf8, false),
        cells::moment("made_at"),
        Field::new("program", DataType::Utf8, false),
    ]))
});

/// By which means logs were checked. No level contains another: each catches omissions that the others cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A second endpoint gave the same logs.
    SecondEndpoint,
    /// No block's bloom filter contradicts the logs held.
    Bloom,
    /// The receipts whose root the block carries have these logs and no others.
    Receipts,
    /// What follows from the logs is what the contracts' state is at the end of the range.
    State,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SecondEndpoint, Self::Bloom, Self::Receipts, Self::State];

    /// The word in the column `level`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SecondEndpoint => "second_endpoint",
            Self::Bloom => "bloom",
            Self::Receipts => "receipts",
            Self::State => "state",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The first thing that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// In which block, or at the end of which.
    pub block: u64,
    /// Of which reserve, where it is of one.
    pub reserve: Option<Address>,
    /// Of which account, where it is of one.
    pub account: Option<Address>,
    /// What was held and what is so.
    pub what: String,
}

/// What a check of a range found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// By which means.
    pub level: Level,
    /// The first block.
    pub from: u64,
    /// The last block, included.
    pub to: u64,
    /// The hash of the filter the logs were read with.
    pub filter_hash: B256,
    /// What was compared, such as `receipts of blocks with liquidations`.
    pub what: String,
    /// Whether everything in the range was compared, and not a sample.
    pub whole: bool,
    /// How many comparisons came to a verdict.
    pub checked: u64,
    /// How many of them found something wrong.
    pub wrong: u64,
    /// How many could come to none.
    pub not_provable: u64,
    /// The first thing that was wrong.
    pub first_wrong: Option<Wrong>,
    /// The hosts of the endpoints that were asked.
    pub hosts: Vec<String>,
    /// When.
    pub made_at: TimeUs,
    /// The version of the program.
    pub program: String,
}

impl Proof {
    /// Whether it proves the whole of its range.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole && self.wrong == 0 && self.not_provable == 0
    }
}

/// How far a range is proven at one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// All of it.
    Proven,
    /// Everything that was looked at was right, and not everything was looked at. These stretches were not even sampled.
    Partly {
        /// First and last block of each, both included.
        unchecked: Vec<(u64, u64)>,
    },
    /// Something was wrong, and nothing found since that it is right.
    Wrong(&'a Proof),
}

/// All checks on record for a market, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs {
    proofs: Vec<Proof>,
}

impl Proofs {
    /// Reads what is on record.
    ///
    /// # Errors
    /// A file is damaged.
    pub fn load(archive: &Archive, market: &MarketName) -> Result<Self> {
        let mut proofs = Vec::new();
        for file in archive.market_files(market, Table::Proofs)? {
            for chunk in Scan::of_all().chunks(std::slice::from_ref(&file)) {
                for batch in chunk.read()? {
                    read_batch(Columns { path: &file.path, batch: &batch? }, &mut proofs)?;
                }
            }
        }
        proofs.sort_by_key(|proof: &Proof| proof.made_at);
        Ok(Self { proofs })
    }

    /// The checks, in the order in which they were made.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Proof> {
        self.proofs.iter()
    }

    /// The blocks for which a level is proven of logs that were read with a filter.
    #[must_use]
    pub fn proven(&self, level: Level, filter_hash: &B256) -> Ranges {
        self.ranges(level, filter_hash, Proof::is_whole)
    }

    /// How far a range is proven at a level, of logs that were read with a filter.
    #[must_use]
    pub fn verdict(&self, level: Level, filter_hash: &B256, from: u64, to: u64) -> Verdict<'_> {
        let of_level = self.proofs.iter().filter(|proof| proof.level == level);
        let overlapping = of_level.filter(|proof| proof.from <= to && from <= proof.to);
        for failed in overlapping.filter(|proof| proof.wrong > 0) {
            // What was found wrong is right again where everything in that range was found right since.
            let mut since = Ranges::default();
            let later = self.proofs.iter().filter(|proof| proof.made_at > failed.made_at && proof.level == level);
            later.filter(|proof| proof.is_whole()).for_each(|proof| since.add(proof.from, proof.to));
            if !since.holds(failed.from.max(from), failed.to.min(to)) {
                return Verdict::Wrong(failed);
            }
        }
        if self.proven(level, filter_hash).holds(from, to) {
            return Verdict::Proven;
        }
        let looked_at = self.ranges(level, filter_hash, |proof| proof.wrong == 0 && proof.checked > 0);
        Verdict::Partly { unchecked: looked_at.holes(from, to) }
    }

    /// The blocks of the checks that satisfy, less those of checks that failed later.
    fn ranges(&self, level: Level, filter_hash: &B256, satisfies: impl Fn(&Proof) -> bool) -> Ranges {
        let mut ranges = Ranges::default();
        for proof in self.proofs.iter().filter(|proof| proof.level == level) {
            if proof.wrong > 0 {
                ranges.remove(proof.from, proof.to);
            } else if satisfies(proof) && proof.filter_hash == *filter_hash {
                ranges.add(proof.from, proof.to);
            }
        }
        ranges
    }
}

/// Puts checks of a market on record, as one more file. Returns where it lies, or `None` where there are none.
///
/// # Errors
/// The archive cannot be written.
pub fn record(writer: &Writer, market: &MarketName, chain: ChainId, proofs: &[Proof]) -> Result<Option<PathBuf>> {
    let from = proofs.iter().map(|proof| proof.from).min();
    let to = proofs.iter().map(|proof| proof.to).max();
    let (Some(from), Some(to)) = (from, to) else {
        return Ok(None);
    };
    if let Some(proof) =
        proofs.iter().find(|proof| (proof.wrong > 0) != proof.first_wrong.is_some() || proof.from > proof.to)
    {
        let what = format!("a check of blocks {} to {} does not say what it found", proof.from, proof.to);
        return Err(Error::Unfit { what, advice: "this is a defect of the program; please report it".to_owned() });
    }
    let folder = writer.archive().market_folder(market, Table::Proofs);
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), cells::compressed(16_384).build())?;
    let batch = RecordBatch::try_new(SCHEMA.clone(), columns_of(market, chain, proofs));
    file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
    let span = Span::Blocks { chain, from, to, complete: None };
    let stem = span.file_stem();
    let notes = BTreeMap::from([("market".to_owned(), market.to_string())]);
    let footer = Footer { table: Table::Proofs, standing: Standing::Exact, span, notes };
    let finished = file.finish(&footer)?;
    let name = format!("{stem}-{}.parquet", finished.id()?);
    finished.publish(&name).map(Some)
}

fn columns_of(market: &MarketName, chain: ChainId, proofs: &[Proof]) -> Vec<ArrayRef> {
    let text = |value: fn(&Proof) -> Option<String>| -> ArrayRef {
        let mut column = StringBuilder::new();
        proofs.iter().for_each(|proof| column.append_option(value(proof)));
        Arc::new(column.finish())
    };
    let number = |value: fn(&Proof) -> Option<u64>| -> ArrayRef {
        let mut column = UInt64Builder::new();
        proofs.iter().for_each(|proof| column.append_option(value(proof)));
        Arc::new(column.finish())
    };
    let bytes = |width: i32, value: fn(&Proof) -> Option<&[u8]>| -> ArrayRef {
        let mut column = FixedSizeBinaryBuilder::new(width);
        for proof in proofs {
            match value(proof) {
                Some(bytes) => column.append_value(bytes).expect("a hash or address has its column's width"),
                None => column.append_null(),
            }
        }
        Arc::new(column.finish())
    };
    let mut whole = BooleanBuilder::new();
    proofs.iter().for_each(|proof| whole.append_value(proof.whole));
    let mut made_at = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    proofs.iter().for_each(|proof| made_at.append_value(proof.made_at.0));
    let mut markets = StringBuilder::new();
    proofs.iter().for_each(|_| markets.append_value(market.as_str()));
    let mut chains = UInt64Builder::new();
    proofs.iter().for_each(|_| chains.append_value(chain.0));
    vec![
        text(|proof| Some(proof.level.word().to_owned())),
        Arc::new(markets.finish()),
        Arc::new(chains.finish()),
        number(|proof| Some(proof.from)),
        number(|proof| Some(proof.to)),
        bytes(32, |proof| Some(proof.filter_hash.as_slice())),
        text(|proof| Some(proof.what.clone())),
        Arc::new(whole.finish()),
        number(|proof| Some(proof.checked)),
        number(|proof| Some(proof.wrong)),
        number(|proof| Some(proof.not_provable)),
        number(|proof| proof.first_wrong.as_ref().map(|wrong| wrong.block)),
        bytes(20, |proof| proof.first_wrong.as_ref()?.reserve.as_ref().map(|reserve| reserve.as_slice())),
        bytes(20, |proof| proof.first_wrong.as_ref()?.account.as_ref().map(|account| account.as_slice())),
        text(|proof| proof.first_wrong.as_ref().map(|wrong| wrong.what.clone())),
        text(|proof| Some(proof.hosts.join(" "))),
        Arc::new(made_at.finish()),
        text(|proof| Some(proof.program.clone())),
    ]
}

fn read_batch(columns: Columns<'_>, proofs: &mut Vec<Proof>) -> Result<()> {
    let bad = |what: &str| damaged(columns.path, what);
    let text = |name: &str| columns.full::<StringArray>(name);
    let number = |name: &str| columns.full::<UInt64Array>(name);
    let (level, what, hosts, program) = (text("level")?, text("what")?, text("hosts")?, text("program")?);
    let (from, to, checked) = (number("from_block")?, number("to_block")?, number("checked")?);
    let (wrong, not_provable) = (number("wrong")?, number("not_provable")?);
    let filter_hash = columns.full_bytes::<32>("filter_hash")?;
    let whole = columns.full::<BooleanArray>("whole")?;
    let made_at = columns.full::<TimestampMicrosecondArray>("made_at")?;
    let wrong_block = columns.get::<UInt64Array>("wrong_block")?;
    let (has_reserve, reserve) = columns.bytes::<20>("wrong_reserve")?;
    let (has_account, account) = columns.bytes::<20>("wrong_account")?;
    let wrong_what = columns.get::<StringArray>("wrong_what")?;
    for (row, filter_hash) in filter_hash.iter().enumerate() {
        let known = |known: &Level| known.word() == level.value(row);
        let first_wrong = wrong_block.is_valid(row).then(|| Wrong {
            block: wrong_block.value(row),
            reserve: has_reserve.is_valid(row).then(|| Address::new(reserve[row])),
            account: has_account.is_valid(row).then(|| Address::new(account[row])),
            what: if wrong_what.is_valid(row) { wrong_what.value(row).to_owned() } else { String::new() },
        });
        proofs.push(Proof {
            level: Level::ALL.into_iter().find(known).ok_or_else(|| bad("a level that is none"))?,
            from: from.value(row),
            to: to.value(row),
            filter_hash: B256::new(*filter_hash),
            what: what.value(row).to_owned(),
            whole: whole.value(row),
            checked: checked.value(row),
            wrong: wrong.value(row),
            not_provable: not_provable.value(row),
            first_wrong,
            hosts: hosts.value(row).split_whitespace().map(str::to_owned).collect(),
            made_at: TimeUs(made_at.value(row)),
            program: program.value(row).to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::logs::tests::{CHAIN, place};

    const BLOCKS: u64 = 20;

    fn proof(level: Level, (from, to): (u64, u64), made_at: i64, kind: u8) -> Proof {
        let wrong = u64::from(kind == 0);
        let first_wrong = (wrong > 0).then(|| Wrong {
            block: to,
            reserve: (made_at % 2 == 0).then(|| Address::repeat_byte(7)),
            account: (made_at % 3 == 0).then(|| Address::repeat_byte(8)),
            what: "held 1, is 2".to_owned(),
        });
        Proof {
            level,
            from,
            to,
            filter_hash: B256::repeat_byte(u8::from(kind == 4)),
            what: "everything".to_owned(),
            whole: kind != 1,
            checked: 9,
            wrong,
            not_provable: u64::from(kind == 2),
            first_wrong,
            hosts: vec!["one.example".to_owned(), "two.example".to_owned()],
            made_at: TimeUs(made_at),
            program: "0.1.0".to_owned(),
        }
    }

    fn level(number: u8) -> Level {
        Level::ALL[usize::from(number)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_block_is_proven_by_the_last_word_on_it(
            checks in prop::collection::vec((0..2_u8, 0..BLOCKS, 0..9_u64, 0..6_u8), 0..9),
            (from, length) in (0..BLOCKS, 0..6_u64),
        ) {
            let place = place();
            let proofs: Vec<_> = (0..)
                .zip(&checks)
                .map(|(at, (number, from, length, kind))| proof(level(*number), (*from, from + length), at, *kind))
                .collect();
            // Files are found in the order of their names, which is not that of time.
            for some in proofs.chunks(2).rev() {
                record(&place.writer, &place.market, CHAIN, some).unwrap();
            }
            let held = Proofs::load(&place.archive, &place.market).unwrap();
            prop_assert_eq!(held.iter().cloned().collect::<Vec<_>>(), proofs.clone());
            let to = from + length;
            for level in Level::ALL {
                let on = |block: u64| {
                    proofs.iter().rev().filter(move |proof| {
                        proof.level == level && (proof.from..=proof.to).contains(&block)
                    })
                };
                let is_proven = |block: u64| {
                    let mut said = on(block).filter(|proof| proof.wrong > 0 || (proof.is_whole() && proof.filter_hash.is_zero()));
                    said.next().is_some_and(|proof| proof.wrong == 0)
                };
                let is_wrong = |block: u64| {
                    on(block).find(|proof| proof.wrong > 0 || proof.is_whole()).is_some_and(|proof| proof.wrong > 0)
                };
                let proven = held.proven(level, &B256::ZERO);
                for block in 0..BLOCKS + 9 {
                    prop_assert_eq!(proven.holds(block, block), is_proven(block), "{} {}", level, block);
                }
                match held.verdict(level, &B256::ZERO, from, to) {
                    Verdict::Proven => prop_assert!((from..=to).all(is_proven)),
                    Verdict::Wrong(_) => prop_assert!((from..=to).any(is_wrong)),
                    Verdict::Partly { .. } => {
                        prop_assert!(!(from..=to).all(is_proven) && !(from..=to).any(is_wrong));
                    }
                }
            }
        }
    }

    #[test]
    fn a_sample_proves_no_range_and_says_what_was_not_looked_at() {
        let place = place();
        record(&place.writer, &place.market, CHAIN, &[proof(Level::Receipts, (3, 6), 1, 1)]).unwrap();
        let held = Proofs::load(&place.archive, &place.market).unwrap();
        let verdict = |from, to| held.verdict(Level::Receipts, &B256::ZERO, from, to);
        assert_eq!(verdict(4, 5), Verdict::Partly { unchecked: vec![] });
        assert_eq!(verdict(1, 9), Verdict::Partly { unchecked: vec![(1, 2), (7, 9)] });
        assert_eq!(held.verdict(Level::Bloom, &B256::ZERO, 4, 5), Verdict::Partly { unchecked: vec![(4, 5)] });
    }

    #[test]
    fn what_was_wrong_is_right_again_where_all_of_it_was_found_right_since() {
        let mut proofs = vec![proof(Level::State, (5, 8), 1, 0), proof(Level::State, (4, 6), 2, 3)];
        let verdict = |proofs: &[Proof], from, to| {
            let held = Proofs { proofs: proofs.to_vec() };
            matches!(held.verdict(Level::State, &B256::ZERO, from, to), Verdict::Proven)
        };
        assert!(verdict(&proofs, 5, 6) && !verdict(&proofs, 5, 8));
        let held = Proofs { proofs: proofs.clone() };
        assert_eq!(held.verdict(Level::State, &B256::ZERO, 5, 8), Verdict::Wrong(&proofs[0]));
        proofs.push(proof(Level::State, (7, 9), 3, 3));
        assert!(verdict(&proofs, 4, 9));
        proofs.push(proof(Level::State, (9, 9), 4, 0));
        assert!(verdict(&proofs, 4, 8) && !verdict(&proofs, 4, 9), "the last word counts");
    }

    #[test]
    fn a_check_must_say_what_was_wrong() {
        let place = place();
        let silent = Proof { first_wrong: None, ..proof(Level::State, (1, 2), 1, 0) };
        let talkative = Proof { wrong: 0, ..proof(Level::State, (1, 2), 1, 0) };
        for odd in [silent, talkative, proof(Level::State, (2, 1), 1, 3)] {
            assert!(record(&place.writer, &place.market, CHAIN, &[odd]).is_err());
        }
        assert_eq!(record(&place.writer, &place.market, CHAIN, &[]).unwrap(), None);
    }
}
