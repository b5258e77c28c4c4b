//! Which rows of two sources are the same event.
//!
//! Rows with the same log identity are the same. Of the rest, rows of the same chain, second and user are candidates, unless
//! both know their logs or both know their transactions and those differ. Candidates with the same collateral token (else the
//! same debt token) whose amounts agree to six decimals are the same event, one to one; what is left with the same
//! token on both sides is the same event with different amounts, one to one in order of amount; what is left on one side is only there.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A row, as far as matching looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The chain.
    pub chain: u64,
    /// The second, since 1970.
    pub second: i64,
    /// The liquidated account.
    pub user: [u8; 20],
    /// What was seized, where the source says.
    pub collateral: Option<Side>,
    /// What was repaid, where the source says.
    pub debt: Option<Side>,
    /// The transaction, where the source says.
    pub transaction: Option<[u8; 32]>,
    /// Whether the identity is that of a log, comparable between sources.
    pub by_log: bool,
    /// The event's identity in its source.
    pub key: [u8; 16],
    /// The value in US dollars of eight decimals, where known.
    pub usd8: Option<i128>,
}

/// One side of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// The token's code, the same for both sources.
    pub token: u32,
    /// The amount in millionths of a token, rounded; `None` where the source gives none.
    pub amount_e6: Option<i128>,
}

type Place = (u64, i64, [u8; 20]);

impl Candidate {
    fn place(&self) -> Place {
        (self.chain, self.second, self.user)
    }
}

/// What was found among the rows of two sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// Pairs that are the same event.
    pub same: Vec<(Candidate, Candidate)>,
    /// Pairs that are the same event with different amounts.
    pub differing: Vec<(Candidate, Candidate)>,
    /// Rows only the first source has.
    pub only_a: Vec<Candidate>,
    /// Rows only the second source has.
    pub only_b: Vec<Candidate>,
    /// How many rows of `only_a` could be one of `only_b`, or not: they have no side in common to compare.
    pub undecided: u64,
}

/// Pairs rows of the same log; the rest is left in the two lists.
pub fn match_logs(a: &mut Vec<Candidate>, b: &mut Vec<Candidate>) -> Vec<(Candidate, Candidate)> {
    let key = |row: &Candidate| row.by_log.then_some(row.key);
    let mut pairs = Vec::new();
    pair(a, b, key, key, &mut pairs);
    pairs
}

/// Matches the rows of two sources, among which no two are known to be of the same log.
#[must_use]
pub fn match_rows(mut a: Vec<Candidate>, mut b: Vec<Candidate>) -> Matches {
    let mut matches = Matches::default();
    let sides: [fn(&Candidate) -> Option<Side>; 2] = [|row| row.collateral, |row| row.debt];
    for side in sides {
        let key = |row: &Candidate| side(row).and_then(|side| Some((row.place(), side.token, side.amount_e6?)));
        pair_compatible(&mut a, &mut b, key, &mut matches.same);
    }
    for side in sides {
        let key = |row: &Candidate| side(row).map(|side| (row.place(), side.token));
        pair_compatible(&mut a, &mut b, key, &mut matches.differing);
    }
    matches.undecided = undecided(&a, &b);
    (matches.only_a, matches.only_b) = (a, b);
    matches
}

/// Pairs rows of equal keys that may be the same event. Two that know their logs are not: equal logs are paired already. Two
/// that know their transactions must agree on them.
fn pair_compatible<K: Ord + Copy>(
    a: &mut Vec<Candidate>,
    b: &mut Vec<Candidate>,
    key: impl Fn(&Candidate) -> Option<K> + Copy,
    pairs: &mut Vec<(Candidate, Candidate)>,
) {
    let in_transaction = |row: &Candidate| Some((key(row)?, row.transaction?));
    let without_log = |row: &Candidate| in_transaction(row).filter(|_| !row.by_log);
    let without_transaction = |row: &Candidate| key(row).filter(|_| row.transaction.is_none());
    pair(a, b, without_log, in_transaction, pairs);
    pair(a, b, in_transaction, without_log, pairs);
    pair(a, b, without_transaction, key, pairs);
    pair(a, b, key, without_transaction, pairs);
}

/// Moves pairs of equal keys, one to one in order, from both lists to `pairs`; rows without a key stay.
fn pair<K: Ord>(
    a: &mut Vec<Candidate>,
    b: &mut Vec<Candidate>,
    key_a: impl Fn(&Candidate) -> Option<K>,
    key_b: impl Fn(&Candidate) -> Option<K>,
    pairs: &mut Vec<(Candidate, Candidate)>,
) {
    a.sort_unstable_by_key(|row| (key_a(row), *row));
    b.sort_unstable_by_key(|row| (key_b(row), *row));
    let (mut left_a, mut left_b) = (Vec::new(), Vec::new());
    let (mut rest_a, mut rest_b) = (a.drain(..).peekable(), b.drain(..).peekable());
    while let (Some(one), Some(other)) = (rest_a.peek(), rest_b.peek()) {
        // A row without a key sorts first and pairs with nothing.
        let order = match (key_a(one), key_b(other)) {
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (one, other) => one.cmp(&other),
        };
        match order {
            Ordering::Less => left_a.extend(rest_a.next()),
            Ordering::Greater => left_b.extend(rest_b.next()),
            Ordering::Equal => pairs.extend(rest_a.next().zip(rest_b.next())),
        }
    }
    left_a.extend(rest_a);
    left_b.extend(rest_b);
    (*a, *b) = (left_a, left_b);
}

/// Rows of the first list that stand at the place of a row of the second with which they share no side and no transaction
/// that would tell them apart.
fn undecided(a: &[Candidate], b: &[Candidate]) -> u64 {
    let mut at = BTreeMap::<Place, Vec<&Candidate>>::new();
    for row in b {
        at.entry(row.place()).or_default().push(row);
    }
    let tells_apart = |one: &Candidate, other: &Candidate| {
        let collateral = one.collateral.is_some() && other.collateral.is_some();
        let debt = one.debt.is_some() && other.debt.is_some();
        let transactions = one.transaction.zip(other.transaction).is_some_and(|(one, other)| one != other);
        collateral || debt || transactions || (one.by_log && other.by_log)
    };
    let is_undecided =
        |row: &&Candidate| at.get(&row.place()).is_some_and(|there| there.iter().any(|other| !tells_apart(row, other)));
    a.iter().filter(is_undecided).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(second: i64, user: u8, amount: i128, key: u8) -> Candidate {
        Candidate {
            chain: 1,
            second,
            user: [user; 20],
            collateral: Some(Side { token: 0, amount_e6: Some(amount) }),
            debt: None,
            transaction: None,
            by_log: false,
            key: [key; 16],
            usd8: None,
        }
    }

    fn keys(pairs: &[(Candidate, Candidate)]) -> Vec<(u8, u8)> {
        pairs.iter().map(|(a, b)| (a.key[0], b.key[0])).collect()
    }

    #[test]
    fn each_row_finds_its_like_once() {
        let a = vec![row(1, 1, 100, 1), row(1, 1, 100, 2), row(2, 1, 5, 3), row(3, 1, 7, 4)];
        let b = vec![row(1, 1, 100, 11), row(2, 1, 6, 12), row(4, 1, 7, 13)];
        let found = match_rows(a, b);
        assert_eq!((keys(&found.same), keys(&found.differing)), (vec![(1, 11)], vec![(3, 12)]));
        assert_eq!(found.only_a.iter().map(|row| row.key[0]).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(found.only_b.iter().map(|row| row.key[0]).collect::<Vec<_>>(), [13]);
    }

    #[test]
    fn equal_logs_are_the_same_whatever_else_they_say() {
        let log = |row: Candidate| Candidate { by_log: true, transaction: Some([9; 32]), ..row };
        let (mut a, mut b) =
            (vec![log(row(9, 9, 1, 5)), row(1, 1, 1, 6)], vec![log(row(8, 8, 2, 5)), log(row(1, 1, 1, 7))]);
        assert_eq!(keys(&match_logs(&mut a, &mut b)), [(5, 5)]);
        assert_eq!((a.len(), b.len()), (1, 1));
    }

    #[test]
    fn what_is_proven_different_is_never_paired() {
        let log =
            |row: Candidate, transaction: u8| Candidate { by_log: true, transaction: Some([transaction; 32]), ..row };
        let traced = |row: Candidate, transaction: u8| Candidate { transaction: Some([transaction; 32]), ..row };
        for (one, other) in [
            (log(row(1, 1, 5, 1), 7), log(row(1, 1, 5, 2), 7)),
            (traced(row(1, 1, 5, 1), 7), traced(row(1, 1, 5, 2), 8)),
            (traced(row(1, 1, 5, 1), 7), log(row(1, 1, 6, 2), 8)),
        ] {
            let found = match_rows(vec![one], vec![other]);
            assert_eq!((found.same.len(), found.differing.len(), found.undecided), (0, 0, 0));
        }
        let found = match_rows(vec![traced(row(1, 1, 5, 1), 7)], vec![log(row(1, 1, 5, 2), 7)]);
        assert_eq!(keys(&found.same), [(1, 2)], "one of them does not know its log");
    }

    #[test]
    fn rows_without_a_common_side_stay_undecided() {
        let debt_only = |row: Candidate| Candidate { debt: row.collateral, collateral: None, ..row };
        let found = match_rows(vec![debt_only(row(1, 1, 5, 1))], vec![row(1, 1, 5, 2)]);
        assert_eq!((found.only_a.len(), found.only_b.len(), found.undecided), (1, 1, 1));
        let found = match_rows(vec![debt_only(row(1, 1, 5, 1))], vec![debt_only(row(1, 1, 5, 2))]);
        assert_eq!(keys(&found.same), [(1, 2)]);
    }

    fn some_rows() -> impl Strategy<Value = Vec<Candidate>> {
        let side = prop::option::of((0_u32..2, prop::option::of(0_i128..3)));
        let side = move || side.clone().prop_map(|side| side.map(|(token, amount_e6)| Side { token, amount_e6 }));
        let fields = (0_i64..4, 0_u8..3, side(), side(), prop::option::of(0_u8..3), any::<bool>(), 0_u8..255);
        prop::collection::vec(fields, 0..40).prop_map(|rows| {
            let candidate =
                |(second, user, collateral, debt, transaction, by_log, key): (_, _, _, _, Option<u8>, bool, _)| {
                    Candidate {
                        collateral,
                        debt,
                        transaction: transaction.map(|transaction| [transaction; 32]),
                        by_log: by_log && transaction.is_some(),
                        ..row(second, user, 0, key)
                    }
                };
            rows.into_iter().map(candidate).collect()
        })
    }

    proptest! {
        #[test]
        fn every_row_lands_in_exactly_one_place_and_no_pair_contradicts_itself(a in some_rows(), b in some_rows()) {
            let found = match_rows(a.clone(), b.clone());
            let pairs = found.same.len() + found.differing.len();
            prop_assert_eq!(pairs + found.only_a.len(), a.len());
            prop_assert_eq!(pairs + found.only_b.len(), b.len());
            for (one, other) in found.same.iter().chain(&found.differing) {
                prop_assert_eq!(one.place(), other.place());
                prop_assert!(!(one.by_log && other.by_log));
                prop_assert!(one.transaction.zip(other.transaction).is_none_or(|(one, other)| one == other));
            }
            let agrees = |one: Option<Side>, other: Option<Side>| one.is_some_and(|one| one.amount_e6.is_some()) && one == other;
            prop_assert!(found.same.iter().all(|(one, other)| agrees(one.collateral, other.collateral) || agrees(one.debt, other.debt)));
        }
    }
}
