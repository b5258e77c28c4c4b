//! Exact sums by group, with distinct users, in one pass.

use std::sync::Mutex;

use hashbrown::{DefaultHashBuilder, HashTable};
use protocol::time::{DAY_US, HOUR_US, TimeUs, civil_from_day};
use std::hash::BuildHasher;

use super::{Batch, Dimension, Measure, NO_NAME, SizeClass};

/// The words that tell a group apart, one or three per dimension.
pub type KeyWords = Box<[u64]>;

/// The words of an absent account: no address fills its third word's upper half.
const NO_ACCOUNT: [u64; 3] = [u64::MAX; 3];
/// The most groups that are held at once; more means a grouping by something nearly unique.
pub const MOST_GROUPS: usize = 1_000_000;
/// Rows of the largest values that are kept.
const LARGEST_KEPT: usize = 100;

/// What is added up. Every field is a whole number, so the order of adding does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Liquidations.
    pub count: u64,
    /// Debt repaid in US dollars of eight decimals, where known.
    pub debt_usd8: i128,
    /// Liquidations whose source gives no debt token.
    pub debt_absent: u64,
    /// Liquidations with a debt token and no US dollar value of it.
    pub debt_unpriced: u64,
    /// Collateral seized in US dollars of eight decimals, where known.
    pub collateral_usd8: i128,
    /// Liquidations whose source gives no collateral token.
    pub collateral_absent: u64,
    /// Liquidations with a collateral token and no US dollar value of it.
    pub collateral_unpriced: u64,
    /// Collateral seized less debt repaid, over liquidations where both are known and agree: the bonus paid.
    pub bonus_usd8: i128,
    /// The debt repaid in those liquidations, the base of the bonus rate.
    pub bonus_debt_usd8: i128,
    /// How many liquidations those are.
    pub bonus_count: u64,
    /// Liquidations where both are known and contradict each other: see [`is_plausible_bonus`].
    pub implausible_count: u64,
    /// Collateral seized less debt repaid over those, in no other sum.
    pub implausible_usd8: i128,
    /// The earliest, in microseconds since 1970.
    pub first_us: i64,
    /// The latest, in microseconds since 1970.
    pub last_us: i64,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            count: 0,
            debt_usd8: 0,
            debt_absent: 0,
            debt_unpriced: 0,
            collateral_usd8: 0,
            collateral_absent: 0,
            collateral_unpriced: 0,
            bonus_usd8: 0,
            bonus_debt_usd8: 0,
            bonus_count: 0,
            implausible_count: 0,
            implausible_usd8: 0,
            first_us: i64::MAX,
            last_us: i64::MIN,
        }
    }
}

impl Sums {
    /// The sum of the measured side.
    #[must_use]
    pub const fn value_usd8(&self, measure: Measure) -> i128 {
        match measure {
            Measure::DebtRepaid => self.debt_usd8,
            Measure::CollateralSeized => self.collateral_usd8,
        }
    }

    /// Liquidations that add nothing to the sum of the measured side because their value is not known.
    #[must_use]
    pub const fn without_value(&self, measure: Measure) -> u64 {
        match measure {
            Measure::DebtRepaid => self.debt_absent + self.debt_unpriced,
            Measure::CollateralSeized => self.collateral_absent + self.collateral_unpriced,
        }
    }

    /// Adds another's sums.
    ///
    /// # Errors
    /// [`TooLarge`] where a sum leaves 128 bits.
    pub fn merge(&mut self, other: &Self) -> Result<(), TooLarge> {
        self.count += other.count;
        add(&mut self.debt_usd8, other.debt_usd8)?;
        self.debt_absent += other.debt_absent;
        self.debt_unpriced += other.debt_unpriced;
        add(&mut self.collateral_usd8, other.collateral_usd8)?;
        self.collateral_absent += other.collateral_absent;
        self.collateral_unpriced += other.collateral_unpriced;
        add(&mut self.bonus_usd8, other.bonus_usd8)?;
        add(&mut self.bonus_debt_usd8, other.bonus_debt_usd8)?;
        self.bonus_count += other.bonus_count;
        self.implausible_count += other.implausible_count;
        add(&mut self.implausible_usd8, other.implausible_usd8)?;
        self.first_us = self.first_us.min(other.first_us);
        self.last_us = self.last_us.max(other.last_us);
        Ok(())
    }

    fn add_row(&mut self, row: &RowFacts) -> Result<(), TooLarge> {
        self.count += 1;
        self.first_us = self.first_us.min(row.time_us);
        self.last_us = self.last_us.max(row.time_us);
        match row.debt {
            Leg::Absent => self.debt_absent += 1,
            Leg::Unpriced => self.debt_unpriced += 1,
            Leg::Worth(usd) => add(&mut self.debt_usd8, usd)?,
        }
        match row.collateral {
            Leg::Absent => self.collateral_absent += 1,
            Leg::Unpriced => self.collateral_unpriced += 1,
            Leg::Worth(usd) => add(&mut self.collateral_usd8, usd)?,
        }
        if let (Leg::Worth(debt), Leg::Worth(collateral)) = (row.debt, row.collateral) {
            let bonus = collateral.checked_sub(debt).ok_or(TooLarge)?;
            if is_plausible_bonus(bonus, debt) {
                add(&mut self.bonus_usd8, bonus)?;
                add(&mut self.bonus_debt_usd8, debt)?;
                self.bonus_count += 1;
            } else {
                add(&mut self.implausible_usd8, bonus)?;
                self.implausible_count += 1;
            }
        }
        Ok(())
    }
}

/// Whether a bonus can have been paid: no market seizes less than the debt's worth or pays over a quarter of it. Anything
/// else means that the source's two prices contradict each other.
#[must_use]
pub const fn is_plausible_bonus(bonus_usd8: i128, debt_usd8: i128) -> bool {
    bonus_usd8 >= 0 && bonus_usd8 <= debt_usd8 / 4
}

/// A sum left 128 bits: some row holds an absurd value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

fn add(sum: &mut i128, term: i128) -> Result<(), TooLarge> {
    *sum = sum.checked_add(term).ok_or(TooLarge)?;
    Ok(())
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What tells it apart.
    pub key: KeyWords,
    /// Its sums.
    pub sums: Sums,
}

/// A large liquidation, for the list of the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Large {
    /// Its value in US dollars of eight decimals, negated so that the largest sort first.
    pub negated_value_usd8: i128,
    /// When, in microseconds since 1970.
    pub time_us: i64,
    /// The liquidated account.
    pub user: [u8; 20],
    /// The transaction, where known.
    pub transaction: Option<[u8; 32]>,
    /// The liquidating account, where known.
    pub liquidator: Option<[u8; 20]>,
    /// The chain.
    pub chain: u64,
    /// The market's code.
    pub market: u32,
    /// The collateral token's code.
    pub collateral: u32,
    /// The debt token's code.
    pub debt: u32,
}

/// What every fold of one question shares: the question, and one number per group.
#[derive(Debug)]
pub struct Shared {
    by: Vec<Dimension>,
    measure: Measure,
    /// For [`Dimension::Episode`]: the bounds, sorted, both included, in microseconds.
    episodes: Vec<(i64, i64)>,
    groups: Mutex<Numbers>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Default)]
struct Numbers {
    table: HashTable<u32>,
    keys: Vec<KeyWords>,
}

impl Shared {
    /// A question: by what to group, and which side's value counts.
    #[must_use]
    pub fn new(by: &[Dimension], measure: Measure) -> Self {
        Self {
            by: by.to_vec(),
            measure,
            episodes: Vec::new(),
            groups: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The same question with the episodes that [`Dimension::Episode`] refers to, as bounds in microseconds, both
    /// included, sorted and disjoint.
    #[must_use]
    pub fn with_episodes(self, episodes: Vec<(i64, i64)>) -> Self {
        assert!(episodes.is_sorted_by(|a, b| a.1 < b.0), "episodes are sorted and disjoint");
        Self { episodes, ..self }
    }

    /// Whether every group is of one user: there may be as many as rows.
    #[must_use]
    pub fn is_by_user(&self) -> bool {
        self.by.contains(&Dimension::User)
    }

    /// The keys of all groups, by number.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyWords> {
        self.lock().keys.clone()
    }

    fn number(&self, key: &[u64], hash: u64) -> u32 {
        let Numbers { table, keys } = &mut *self.lock();
        if let Some(number) = table.find(hash, |number| &*keys[*number as usize] == key) {
            return *number;
        }
        let number = u32::try_from(keys.len()).expect("there are at most a million groups");
        keys.push(key.into());
        table.insert_unique(hash, number, |number| self.hasher.hash_one(&*keys[*number as usize]));
        number
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.groups.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One worker's share of the rows.
#[derive(Debug)]
pub struct Fold<'a> {
    shared: &'a Shared,
    /// This worker's place of each group: hash table of places in `groups`.
    table: HashTable<u32>,
    groups: Vec<(u32, Group)>,
    last: Option<u32>,
    total: Sums,
    largest: Vec<Large>,
    /// What a row's negated value may not exceed to be among the largest.
    bar: i128,
    /// Rows without a value, by side and token code.
    unpriced: hashbrown::HashMap<(Measure, u32), u64>,
}

/// What a fold found.
#[derive(Debug)]
pub struct Folded {
    /// The groups this worker met, each with its number.
    pub groups: Vec<(u32, Group)>,
    /// The sums over everything.
    pub total: Sums,
    /// The largest liquidations, sorted.
    pub largest: Vec<Large>,
    /// How often each token had no US dollar value, sorted by side and code.
    pub unpriced: Vec<((Measure, u32), u64)>,
}

#[derive(Debug, Clone, Copy)]
enum Leg {
    Absent,
    Unpriced,
    Worth(i128),
}

impl Leg {
    fn of(token: u32, usd: Option<i128>) -> Self {
        match usd {
            Some(usd) => Self::Worth(usd),
            None if token == NO_NAME => Self::Absent,
            None => Self::Unpriced,
        }
    }
}

struct RowFacts {
    time_us: i64,
    debt: Leg,
    collateral: Leg,
    value: Option<i128>,
}

/// Why a fold stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// A sum left 128 bits.
    TooLarge,
    /// More than [`MOST_GROUPS`] groups.
    TooManyGroups,
}

impl From<TooLarge> for Stopped {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl<'a> Fold<'a> {
    /// Nothing folded yet.
    #[must_use]
    pub fn new(shared: &'a Shared) -> Self {
        let table = HashTable::new();
        Self {
            shared,
            table,
            groups: Vec::new(),
            last: None,
            total: Sums::default(),
            largest: Vec::new(),
            bar: i128::MAX,
            unpriced: hashbrown::HashMap::new(),
        }
    }

    /// Adds rows of a batch; hands every row's group number and user to `distinct`.
    ///
    /// # Errors
    /// A sum or the number of groups is beyond its bound, or `distinct` fails.
    pub fn add<E: From<Stopped>>(
        &mut self,
        batch: &Batch<'_>,
        rows: impl Iterator<Item = usize>,
        mut distinct: impl FnMut(u32, &[u8; 20]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut words = Words::default();
        for row in rows {
            let facts = self.facts(batch, row);
            words.clear();
            if !self.shared.words(batch, row, facts.value, &mut words) {
                continue;
            }
            let place = self.place(words.as_slice()).map_err(E::from)?;
            let (number, group) = &mut self.groups[place];
            group.sums.add_row(&facts).map_err(Stopped::from).map_err(E::from)?;
            self.total.add_row(&facts).map_err(Stopped::from).map_err(E::from)?;
            distinct(*number, &batch.user[row])?;
            self.note_unpriced(batch, row, &facts);
            self.note_large(batch, row, &facts);
        }
        Ok(())
    }

    /// How many groups are held.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Folded {
        self.keep_largest();
        let mut unpriced: Vec<_> = self.unpriced.into_iter().collect();
        unpriced.sort_unstable_by_key(|((measure, token), _)| (*measure == Measure::CollateralSeized, *token));
        Folded { groups: self.groups, total: self.total, largest: self.largest, unpriced }
    }

    fn facts(&self, batch: &Batch<'_>, row: usize) -> RowFacts {
        let debt_usd = batch.debt_usd.get(row);
        let collateral_usd = batch.collateral_usd.get(row);
        RowFacts {
            time_us: batch.time_us[row],
            debt: Leg::of(batch.debt[row], debt_usd),
            collateral: Leg::of(batch.collateral[row], collateral_usd),
            value: match self.shared.measure {
                Measure::DebtRepaid => debt_usd,
                Measure::CollateralSeized => collateral_usd,
            },
        }
    }

    fn place(&mut self, key: &[u64]) -> Result<usize, Stopped> {
        // Rows of one group tend to follow each other.
        if let Some(last) = self.last.filter(|last| &*self.groups[*last as usize].1.key == key) {
            return Ok(last as usize);
        }
        let hash = self.shared.hasher.hash_one(key);
        let place = match self.table.find(hash, |place| &*self.groups[*place as usize].1.key == key) {
            Some(place) => *place,
            None => self.insert(key, hash)?,
        };
        self.last = Some(place);
        Ok(place as usize)
    }

    fn insert(&mut self, key: &[u64], hash: u64) -> Result<u32, Stopped> {
        if self.groups.len() >= MOST_GROUPS {
            return Err(Stopped::TooManyGroups);
        }
        let place = u32::try_from(self.groups.len()).expect("there are at most a million groups");
        // Groups by user are written down and forgotten, so they cannot be numbered; each has one user anyway.
        let number = if self.shared.is_by_user() { 0 } else { self.shared.number(key, hash) };
        self.groups.push((number, Group { key: key.into(), sums: Sums::default() }));
        let (groups, hasher) = (&self.groups, &self.shared.hasher);
        self.table.insert_unique(hash, place, |place| hasher.hash_one(&*groups[*place as usize].1.key));
        Ok(place)
    }

    fn note_unpriced(&mut self, batch: &Batch<'_>, row: usize, facts: &RowFacts) {
        if matches!(facts.debt, Leg::Unpriced) {
            *self.unpriced.entry((Measure::DebtRepaid, batch.debt[row])).or_default() += 1;
        }
        if matches!(facts.collateral, Leg::Unpriced) {
            *self.unpriced.entry((Measure::CollateralSeized, batch.collateral[row])).or_default() += 1;
        }
    }

    fn note_large(&mut self, batch: &Batch<'_>, row: usize, facts: &RowFacts) {
        let Some(value) = facts.value else { return };
        let negated_value_usd8 = value.saturating_neg();
        if negated_value_usd8 > self.bar {
            return;
        }
        self.largest.push(Large {
            negated_value_usd8,
            time_us: facts.time_us,
            user: batch.user[row],
            transaction: if batch.transaction.values.is_empty() { None } else { batch.transaction.get(row) },
            liquidator: if batch.liquidator.values.is_empty() { None } else { batch.liquidator.get(row) },
            chain: batch.chain[row],
            market: batch.market[row],
            collateral: batch.collateral[row],
            debt: batch.debt[row],
        });
        if self.largest.len() >= 4 * LARGEST_KEPT {
            self.keep_largest();
        }
    }

    fn keep_largest(&mut self) {
        self.largest.sort_unstable();
        self.largest.truncate(LARGEST_KEPT);
        self.bar = self.largest.get(LARGEST_KEPT - 1).map_or(i128::MAX, |least| least.negated_value_usd8);
    }
}

/// Joins what several workers found: groups in the order of their numbers, the largest sorted.
///
/// # Errors
/// A sum leaves 128 bits.
pub fn join(parts: Vec<Folded>) -> Result<Folded, TooLarge> {
    let mut joined = Folded { groups: Vec::new(), total: Sums::default(), largest: Vec::new(), unpriced: Vec::new() };
    for part in parts {
        joined.total.merge(&part.total)?;
        joined.groups.extend(part.groups);
        joined.largest.extend(part.largest);
        joined.unpriced.extend(part.unpriced);
    }
    joined.groups.sort_by_key(|(number, _)| *number);
    let mut groups: Vec<(u32, Group)> = Vec::with_capacity(joined.groups.len());
    for (number, group) in joined.groups {
        match groups.last_mut() {
            Some((last, same)) if *last == number && same.key == group.key => same.sums.merge(&group.sums)?,
            _ => groups.push((number, group)),
        }
    }
    joined.groups = groups;
    joined.largest.sort_unstable();
    joined.largest.truncate(LARGEST_KEPT);
    let mut unpriced = std::collections::BTreeMap::<(bool, u32), u64>::new();
    for ((measure, token), count) in joined.unpriced {
        *unpriced.entry((measure == Measure::CollateralSeized, token)).or_default() += count;
    }
    let side = |is_collateral| {
        if is_collateral { Measure::CollateralSeized } else { Measure::DebtRepaid }
    };
    joined.unpriced =
        unpriced.into_iter().map(|((is_collateral, token), count)| ((side(is_collateral), token), count)).collect();
    Ok(joined)
}

/// How many words tell a group apart.
#[must_use]
pub fn words_per_key(by: &[Dimension]) -> usize {
    by.iter().map(|dimension| dimension.words()).sum()
}

/// The most words a key can have: thirteen dimensions, two of them accounts of three words.
const MOST_WORDS: usize = 17;

#[derive(Default)]
struct Words {
    words: [u64; MOST_WORDS],
    len: usize,
}

impl Words {
    fn clear(&mut self) {
        self.len = 0;
    }

    fn push(&mut self, word: u64) {
        self.words[self.len] = word;
        self.len += 1;
    }

    fn as_slice(&self) -> &[u64] {
        &self.words[..self.len]
    }
}

impl Shared {
    /// The words of a row's key; `false` where the row belongs to no group.
    fn words(&self, batch: &Batch<'_>, row: usize, value: Option<i128>, words: &mut Words) -> bool {
        let time = TimeUs(batch.time_us[row]);
        for dimension in &self.by {
            match dimension {
                Dimension::Chain => words.push(batch.chain[row]),
                Dimension::Market => words.push(batch.market[row].into()),
                Dimension::Version => words.push(batch.version[row].into()),
                Dimension::Collateral => words.push(batch.collateral[row].into()),
                Dimension::Debt => words.push(batch.debt[row].into()),
                Dimension::Liquidator => {
                    account_words(batch.liquidator.get(row)).into_iter().for_each(|word| words.push(word))
                }
                Dimension::User => account_words(Some(batch.user[row])).into_iter().for_each(|word| words.push(word)),
                Dimension::Size => words.push(SizeClass::of(value) as u64),
                Dimension::Hour => words.push(time.0.div_euclid(HOUR_US).saturating_mul(HOUR_US).cast_unsigned()),
                Dimension::Day => words.push(time.0.div_euclid(DAY_US).saturating_mul(DAY_US).cast_unsigned()),
                Dimension::Week => words.push(week_start(time).0.cast_unsigned()),
                Dimension::Month => words.push(month_start(time).0.cast_unsigned()),
                Dimension::Episode => match self.episode(time.0) {
                    Some(episode) => words.push(episode as u64),
                    None => return false,
                },
            }
        }
        true
    }

    fn episode(&self, time_us: i64) -> Option<usize> {
        let after = self.episodes.partition_point(|(from, _)| *from <= time_us);
        let candidate = after.checked_sub(1)?;
        (time_us <= self.episodes[candidate].1).then_some(candidate)
    }
}

/// The Monday a week begins with; 1970-01-01 was a Thursday, the fourth day.
pub(crate) fn week_start(time: TimeUs) -> TimeUs {
    TimeUs::from_day((time.day() + 3).div_euclid(7) * 7 - 3)
}

/// The first day of a moment's month.
pub(crate) fn month_start(time: TimeUs) -> TimeUs {
    TimeUs::from_day(time.day() + 1 - i64::from(civil_from_day(time.day()).day))
}

/// An account as three words, or all ones for none.
fn account_words(account: Option<[u8; 20]>) -> [u64; 3] {
    let Some(account) = account else { return NO_ACCOUNT };
    let mut padded = [0; 24];
    padded[..20].copy_from_slice(&account);
    let (words, _) = padded.as_chunks::<8>();
    [u64::from_be_bytes(words[0]), u64::from_be_bytes(words[1]), u64::from_be_bytes(words[2])]
}

/// The account that [`KeyWords`] hold at a place, or `None` for none.
#[must_use]
pub fn account_of(words: [u64; 3]) -> Option<[u8; 20]> {
    if words == NO_ACCOUNT {
        return None;
    }
    let bytes = words.map(u64::to_be_bytes);
    let mut account = [0; 20];
    account.copy_from_slice(&bytes.as_flattened()[..20]);
    Some(account)
}

/// Bytes of a group written down: its words, then its sums.
pub const RECORD_BYTES: usize = 8 * MOST_WORDS + 152;

impl Fold<'_> {
    /// Gives the groups away as records, each with a hash that is equal for equal keys, and starts over; the totals stay.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, [u8; RECORD_BYTES])> {
        self.table.clear();
        self.last = None;
        let groups = std::mem::take(&mut self.groups);
        groups.into_iter().map(|(_, group)| (self.shared.hasher.hash_one(&*group.key), group.to_record()))
    }
}

impl Group {
    /// The group with `words` words that a record holds.
    #[must_use]
    pub fn from_record(record: &[u8; RECORD_BYTES], words: usize) -> Self {
        let (stored, _) = record.as_chunks::<8>();
        let word = |index: usize| u64::from_be_bytes(stored[index]);
        let wide = |index: usize| (u128::from(word(index)) << 64 | u128::from(word(index + 1))).cast_signed();
        let at = MOST_WORDS;
        let sums = Sums {
            count: word(at),
            debt_absent: word(at + 1),
            debt_unpriced: word(at + 2),
            collateral_absent: word(at + 3),
            collateral_unpriced: word(at + 4),
            bonus_count: word(at + 5),
            implausible_count: word(at + 6),
            first_us: word(at + 7).cast_signed(),
            last_us: word(at + 8).cast_signed(),
            debt_usd8: wide(at + 9),
            collateral_usd8: wide(at + 11),
            bonus_usd8: wide(at + 13),
            bonus_debt_usd8: wide(at + 15),
            implausible_usd8: wide(at + 17),
        };
        Self { key: (0..words).map(word).collect(), sums }
    }

    fn to_record(&self) -> [u8; RECORD_BYTES] {
        let sums = &self.sums;
        let small = [
            sums.count,
            sums.debt_absent,
            sums.debt_unpriced,
            sums.collateral_absent,
            sums.collateral_unpriced,
            sums.bonus_count,
            sums.implausible_count,
        ];
        let times = [sums.first_us, sums.last_us].map(i64::cast_unsigned);
        let wide = [sums.debt_usd8, sums.collateral_usd8, sums.bonus_usd8, sums.bonus_debt_usd8, sums.implausible_usd8];
        let mut record = [0; RECORD_BYTES];
        let (places, _) = record.as_chunks_mut::<8>();
        for (place, word) in places.iter_mut().zip(&self.key) {
            *place = word.to_be_bytes();
        }
        for (place, word) in places[MOST_WORDS..].iter_mut().zip(small.iter().chain(&times)) {
            *place = word.to_be_bytes();
        }
        for (place, value) in record[8 * (MOST_WORDS + 9)..].as_chunks_mut::<16>().0.iter_mut().zip(wide) {
            *place = value.to_be_bytes();
        }
        record
    }
}

/// Adds up groups of equal keys that stand next to each other, as sorted records do.
///
/// # Errors
/// A sum leaves 128 bits.
pub fn merge_sorted(records: &[[u8; RECORD_BYTES]], words: usize) -> Result<Vec<Group>, TooLarge> {
    let mut groups: Vec<Group> = Vec::new();
    for record in records {
        let group = Group::from_record(record, words);
        match groups.last_mut() {
            Some(last) if last.key == group.key => last.sums.merge(&group.sums)?,
            _ => groups.push(group),
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::liquidations::Nullable;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    type Pairs = BTreeSet<(u32, [u8; 20])>;

    #[derive(Debug, Clone)]
    struct Row {
        time_us: i64,
        chain: u64,
        collateral: u32,
        debt: u32,
        user: u8,
        liquidator: Option<u8>,
        debt_usd: Option<i128>,
        collateral_usd: Option<i128>,
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let name = prop_oneof![Just(NO_NAME), 0_u32..3];
        let usd = || prop::option::of(0_i128..10_000_000_000_000_000);
        let row = (
            1_500_000_000_000_000_i64..1_700_000_000_000_000,
            1_u64..4,
            name.clone(),
            name,
            0_u8..20,
            prop::option::of(0_u8..4),
            usd(),
            usd(),
        );
        prop::collection::vec(row, 0..400).prop_map(|rows| {
            rows.into_iter()
                .map(|(time_us, chain, collateral, debt, user, liquidator, debt_usd, collateral_usd)| Row {
                    time_us,
                    chain,
                    collateral,
                    debt,
                    user,
                    liquidator,
                    debt_usd: debt_usd.filter(|_| debt != NO_NAME),
                    collateral_usd: collateral_usd.filter(|_| collateral != NO_NAME),
                })
                .collect()
        })
    }

    /// Folds rows in `workers` interleaved shares and joins them; distinct users per group come from the pairs handed out.
    fn fold(rows: &[Row], shared: &Shared, workers: usize, drain: bool) -> (Folded, Pairs, Vec<Group>) {
        let column = |f: fn(&Row) -> u32| rows.iter().map(f).collect::<Vec<_>>();
        let user: Vec<_> = rows.iter().map(|row| [row.user; 20]).collect();
        let liquidator: Vec<_> = rows.iter().map(|row| [row.liquidator.unwrap_or(0); 20]).collect();
        let has_liquidator: Vec<_> = rows.iter().map(|row| row.liquidator.is_some()).collect();
        let usd = |f: fn(&Row) -> Option<i128>| {
            (
                rows.iter().map(|row| f(row).unwrap_or(77)).collect::<Vec<_>>(),
                rows.iter().map(|row| f(row).is_some()).collect::<Vec<_>>(),
            )
        };
        let (debt_usd, has_debt_usd) = usd(|row| row.debt_usd);
        let (collateral_usd, has_collateral_usd) = usd(|row| row.collateral_usd);
        let (time_us, chain): (Vec<_>, Vec<_>) = rows.iter().map(|row| (row.time_us, row.chain)).unzip();
        let (collateral, debt, zero) = (column(|row| row.collateral), column(|row| row.debt), column(|_| 0));
        let batch = Batch {
            time_us: &time_us,
            chain: &chain,
            market: &zero,
            version: &zero,
            collateral: &collateral,
            debt: &debt,
            user: &user,
            liquidator: Nullable { values: &liquidator, present: Some(&has_liquidator) },
            debt_usd: Nullable { values: &debt_usd, present: Some(&has_debt_usd) },
            collateral_usd: Nullable { values: &collateral_usd, present: Some(&has_collateral_usd) },
            transaction: Nullable { values: &[], present: None },
        };
        let (mut pairs, mut records, mut parts) = (BTreeSet::new(), Vec::new(), Vec::new());
        for worker in 0..workers {
            let mut fold = Fold::new(shared);
            let share = (0..rows.len()).filter(|row| row % workers == worker);
            fold.add::<Stopped>(&batch, share, |group, user| {
                pairs.insert((group, *user));
                Ok(())
            })
            .unwrap();
            if drain {
                records.extend(fold.drain().map(|(_, record)| record));
            }
            parts.push(fold.finish());
        }
        records.sort_unstable();
        (join(parts).unwrap(), pairs, merge_sorted(&records, words_per_key(&shared.by)).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_split_over_workers_gives_the_sums_a_simple_loop_gives(rows in rows(), workers in 1_usize..5) {
            let shared = Shared::new(&[Dimension::Chain, Dimension::Month], Measure::DebtRepaid);
            let (folded, pairs, _) = fold(&rows, &shared, workers, false);
            let mut expected = BTreeMap::<(u64, String), (u64, i128, i128, u64, BTreeSet<u8>)>::new();
            for row in &rows {
                let month = TimeUs(row.time_us).to_string()[..7].to_owned();
                let entry = expected.entry((row.chain, month)).or_default();
                entry.0 += 1;
                entry.1 += row.debt_usd.unwrap_or(0);
                if let (Some(debt), Some(collateral)) = (row.debt_usd, row.collateral_usd)
                    && collateral >= debt
                    && collateral - debt <= debt / 4
                {
                    entry.2 += collateral - debt;
                }
                entry.3 += u64::from(row.debt_usd.is_none());
                entry.4.insert(row.user);
            }
            let found: BTreeMap<_, _> = folded.groups.iter().map(|(number, Group { key, sums })| {
                let month = TimeUs(key[1].cast_signed()).to_string()[..7].to_owned();
                let users = pairs.iter().filter(|(group, _)| group == number).map(|(_, user)| user[0]).collect();
                ((key[0], month), (sums.count, sums.debt_usd8, sums.bonus_usd8, sums.without_value(Measure::DebtRepaid), users))
            }).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(folded.total.count, rows.len() as u64);
        }

        #[test]
        fn the_largest_are_the_largest(rows in rows(), workers in 1_usize..4) {
            let shared = Shared::new(&[], Measure::CollateralSeized);
            let (folded, ..) = fold(&rows, &shared, workers, false);
            let mut values: Vec<_> = rows.iter().filter_map(|row| row.collateral_usd).collect();
            values.sort_unstable_by(|a, b| b.cmp(a));
            values.truncate(100);
            prop_assert_eq!(folded.largest.iter().map(|large| -large.negated_value_usd8).collect::<Vec<_>>(), values);
        }

        #[test]
        fn groups_written_down_come_back_and_add_up(rows in rows(), workers in 1_usize..4) {
            let by = [Dimension::User, Dimension::Liquidator, Dimension::Size];
            let sorted = |mut groups: Vec<Group>| { groups.sort_by(|a, b| a.key.cmp(&b.key)); groups };
            let held = fold(&rows, &Shared::new(&by, Measure::DebtRepaid), 1, false).0.groups;
            let written = fold(&rows, &Shared::new(&by, Measure::DebtRepaid), workers, true).2;
            prop_assert_eq!(sorted(written), sorted(held.into_iter().map(|(_, group)| group).collect()));
        }
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let at = |text: &str| {
            TimeUs::from_day(protocol::time::day_from_civil(protocol::time::Civil {
                year: text[..4].parse().unwrap(),
                month: text[5..7].parse().unwrap(),
                day: text[8..10].parse().unwrap(),
            }))
        };
        for (day, monday, first) in [
            ("2021-05-19", "2021-05-17", "2021-05-01"),
            ("2021-05-17", "2021-05-17", "2021-05-01"),
            ("2024-03-01", "2024-02-26", "2024-03-01"),
            ("1970-01-01", "1969-12-29", "1970-01-01"),
        ] {
            assert_eq!(week_start(at(day)), at(monday), "{day}");
            assert_eq!(month_start(at(day)), at(first), "{day}");
        }
    }

    #[test]
    fn a_sum_beyond_128_bits_is_refused() {
        let mut sums = Sums { debt_usd8: i128::MAX, ..Sums::default() };
        assert_eq!(sums.merge(&Sums { debt_usd8: 1, ..Sums::default() }), Err(TooLarge));
    }
}
