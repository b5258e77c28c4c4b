//! What must be remembered of a stream (keys, pairs), in bounded memory: records of fixed width are spread over
//! partitions by hash, held in memory up to a budget, and beyond it in unnamed temporary files that the operating
//! system removes with the process, however it ends.
//!
//! Equal records always meet in one partition, so whoever looks for equals needs one partition in memory at a time.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::error::{IoContext, Result};

const PARTITIONS: usize = 128;

/// What to do with records that are equal in every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Equal {
    /// Keep them all.
    Keep,
    /// One stands for all, so the others may be forgotten at any time.
    Merge,
}

/// Records of `WIDTH` bytes, spread over partitions.
#[derive(Debug)]
pub struct Partitions<const WIDTH: usize> {
    memory: Vec<Vec<[u8; WIDTH]>>,
    /// One temporary file for all partitions, made when it is first needed.
    file: Option<File>,
    /// Where in the file each partition's records are: offset and number of bytes.
    written: Vec<Vec<(u64, usize)>>,
    end: u64,
    equal: Equal,
    budget_records: usize,
    held_records: usize,
    folder: PathBuf,
}

impl<const WIDTH: usize> Partitions<WIDTH> {
    /// No records yet; holds at most about `budget_bytes` in memory before it spills to the system's temporary folder.
    #[must_use]
    pub fn new(equal: Equal, budget_bytes: usize) -> Self {
        Self {
            memory: vec![Vec::new(); PARTITIONS],
            file: None,
            written: vec![Vec::new(); PARTITIONS],
            end: 0,
            equal,
            // Vectors grow by doubling, so on average a third of what they hold is room to grow.
            budget_records: (budget_bytes / WIDTH.max(1)).div_ceil(2).max(PARTITIONS),
            held_records: 0,
            folder: std::env::temp_dir(),
        }
    }

    /// Adds a record to the partition its hash names; equal records must come with equal hashes.
    ///
    /// # Errors
    /// The temporary folder cannot be written.
    pub fn push(&mut self, hash: u64, record: [u8; WIDTH]) -> Result<()> {
        // The top bits: hash tables spend the low ones.
        let partition = usize::from(hash.to_be_bytes()[0] >> 1);
        self.memory[partition].push(record);
        self.held_records += 1;
        if self.held_records >= self.budget_records { self.make_room() } else { Ok(()) }
    }

    /// The number of partitions; every record is in exactly one.
    #[must_use]
    pub const fn count(&self) -> usize {
        PARTITIONS
    }

    /// All records of one partition, sorted; without repeats where [`Equal::Merge`] was asked for.
    ///
    /// # Errors
    /// The temporary file cannot be read back.
    pub fn sorted(&self, partition: usize) -> Result<Vec<[u8; WIDTH]>> {
        let mut records = self.load(partition)?;
        records.sort_unstable();
        if self.equal == Equal::Merge {
            records.dedup();
        }
        Ok(records)
    }

    /// Whether anything had to be written to disk.
    #[must_use]
    pub fn spilled(&self) -> bool {
        self.file.is_some()
    }

    fn load(&self, partition: usize) -> Result<Vec<[u8; WIDTH]>> {
        let mut records = self.memory[partition].clone();
        let Some(file) = &self.file else { return Ok(records) };
        for (offset, length) in &self.written[partition] {
            let mut bytes = vec![0; *length];
            file.read_exact_at(&mut bytes, *offset).while_trying_to("read a temporary file", &self.folder)?;
            let (stored, rest) = bytes.as_chunks::<WIDTH>();
            assert!(rest.is_empty(), "a spilled partition holds whole records");
            records.extend_from_slice(stored);
        }
        Ok(records)
    }

    fn make_room(&mut self) -> Result<()> {
        if self.equal == Equal::Merge {
            self.held_records = 0;
            for records in &mut self.memory {
                records.sort_unstable();
                records.dedup();
                self.held_records += records.len();
            }
            // Merging is worth repeating only while it frees at least a third.
            if self.held_records < self.budget_records / 3 * 2 {
                return Ok(());
            }
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let made = tempfile::tempfile_in(&self.folder);
                self.file.insert(made.while_trying_to("make a temporary file here", &self.folder)?)
            }
        };
        for (records, written) in
            self.memory.iter_mut().zip(&mut self.written).filter(|(records, _)| !records.is_empty())
        {
            let bytes = records.as_flattened();
            file.write_all(bytes).while_trying_to("write a temporary file here", &self.folder)?;
            written.push((self.end, bytes.len()));
            self.end += bytes.len() as u64;
            records.clear();
        }
        self.held_records = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn whatever_the_budget_the_same_records_come_back(values in prop::collection::vec(0_u64..500, 0..3_000), merge: bool, budget in 1_usize..20_000) {
            let equal = if merge { Equal::Merge } else { Equal::Keep };
            let mut partitions = Partitions::<8>::new(equal, budget);
            for value in &values {
                partitions.push(value.wrapping_mul(0x9E37_79B9_7F4A_7C15), value.to_be_bytes()).unwrap();
            }
            let mut counts = BTreeMap::<u64, usize>::new();
            for partition in 0..partitions.count() {
                for record in partitions.sorted(partition).unwrap() {
                    *counts.entry(u64::from_be_bytes(record)).or_default() += 1;
                }
            }
            let mut expected = BTreeMap::<u64, usize>::new();
            for value in values {
                *expected.entry(value).or_default() += 1;
            }
            if merge {
                expected.values_mut().for_each(|count| *count = 1);
            }
            prop_assert_eq!(counts, expected);
        }
    }

    #[test]
    fn more_than_the_budget_goes_to_disk() {
        let mut partitions = Partitions::<8>::new(Equal::Keep, 16 * 1024);
        for value in 0..10_000_u64 {
            partitions.push(value.wrapping_mul(0x9E37_79B9_7F4A_7C15), value.to_be_bytes()).unwrap();
        }
        assert!(partitions.spilled());
    }
}
