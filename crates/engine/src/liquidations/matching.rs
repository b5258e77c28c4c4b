//! Which rows of two sources are the same event.
//!
//! The rule: rows with the same log identity are the same. Of the rest, rows of the same chain, second, user and token are
//! candidates; those whose amounts agree to six decimals of a token are the same event, one to one; what is left on both
//! sides is the same event with different amounts, one to one in order of amount; what is left on one side is only there.

/// A row, as far as matching looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The chain.
    pub chain: u64,
    /// The second, since 1970.
    pub second: i64,
    /// The liquidated account.
    pub user: [u8; 20],
    /// The token's code, the same for both sources.
    pub token: u32,
    /// The amount in millionths of a token, rounded; `None` where the source gives none.
    pub amount_e6: Option<i128>,
    /// The event's identity in its source.
    pub key: [u8; 16],
    /// The value in US dollars of eight decimals, where known.
    pub usd8: Option<i128>,
    /// Whether the identity is that of a log, comparable between sources.
    pub by_log: bool,
}

impl Candidate {
    fn place(&self) -> (u64, i64, [u8; 20], u32) {
        (self.chain, self.second, self.user, self.token)
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
}

/// Matches the rows of two sources.
#[must_use]
pub fn match_rows(mut a: Vec<Candidate>, mut b: Vec<Candidate>) -> Matches {
    let mut matches = Matches::default();
    pair_sorted(&mut a, &mut b, |row| row.by_log.then_some(row.key), &mut matches.same);
    pair_sorted(&mut a, &mut b, |row| row.amount_e6.map(|amount| (row.place(), amount)), &mut matches.same);
    pair_sorted(&mut a, &mut b, |row| Some(row.place()), &mut matches.differing);
    (matches.only_a, matches.only_b) = (a, b);
    matches
}

/// Moves pairs of equal keys, one to one in order, from both lists to `pairs`; rows without a key stay.
fn pair_sorted<K: Ord + Copy>(
    a: &mut Vec<Candidate>,
    b: &mut Vec<Candidate>,
    key: impl Fn(&Candidate) -> Option<K>,
    pairs: &mut Vec<(Candidate, Candidate)>,
) {
    let order = |row: &Candidate| (key(row), *row);
    a.sort_unstable_by_key(order);
    b.sort_unstable_by_key(order);
    let (mut left_a, mut left_b) = (Vec::new(), Vec::new());
    let (mut rest_a, mut rest_b) = (a.drain(..).peekable(), b.drain(..).peekable());
    while let (Some(one), Some(other)) = (rest_a.peek().copied(), rest_b.peek().copied()) {
        // A row without a key sorts first and pairs with nothing.
        match (key(&one), key(&other)) {
            (None, _) => left_a.extend(rest_a.next()),
            (_, None) => left_b.extend(rest_b.next()),
            (ka, kb) if ka < kb => left_a.extend(rest_a.next()),
            (ka, kb) if ka > kb => left_b.extend(rest_b.next()),
            _ => {
                pairs.push((one, other));
                rest_a.next();
                rest_b.next();
            }
        }
    }
    left_a.extend(rest_a);
    left_b.extend(rest_b);
    (*a, *b) = (left_a, left_b);
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
            token: 0,
            amount_e6: Some(amount),
            key: [key; 16],
            usd8: None,
            by_log: false,
        }
    }

    #[test]
    fn each_row_finds_its_like_once() {
        let a = vec![
            row(1, 1, 100, 1),
            row(1, 1, 100, 2),
            row(2, 1, 5, 3),
            row(3, 1, 7, 4),
            Candidate { by_log: true, ..row(9, 9, 1, 5) },
        ];
        let b =
            vec![row(1, 1, 100, 11), row(2, 1, 6, 12), row(4, 1, 7, 13), Candidate { by_log: true, ..row(8, 8, 2, 5) }];
        let found = match_rows(a, b);
        let keys =
            |pairs: &[(Candidate, Candidate)]| pairs.iter().map(|(a, b)| (a.key[0], b.key[0])).collect::<Vec<_>>();
        assert_eq!(keys(&found.same), [(5, 5), (1, 11)]);
        assert_eq!(keys(&found.differing), [(3, 12)]);
        assert_eq!(found.only_a.iter().map(|row| row.key[0]).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(found.only_b.iter().map(|row| row.key[0]).collect::<Vec<_>>(), [13]);
    }

    fn some_rows() -> impl Strategy<Value = Vec<Candidate>> {
        prop::collection::vec((0_i64..4, 0_u8..3, 0_i128..3, 0_u8..60, any::<bool>(), any::<bool>()), 0..40).prop_map(
            |rows| {
                rows.into_iter()
                    .map(|(second, user, amount, key, by_log, has_amount)| {
                        let row = row(second, user, amount, key);
                        Candidate { by_log, amount_e6: row.amount_e6.filter(|_| has_amount), ..row }
                    })
                    .collect()
            },
        )
    }

    proptest! {
        #[test]
        fn every_row_lands_in_exactly_one_place_and_sides_can_be_swapped(a in some_rows(), b in some_rows()) {
            let found = match_rows(a.clone(), b.clone());
            let pairs = found.same.len() + found.differing.len();
            prop_assert_eq!(pairs + found.only_a.len(), a.len());
            prop_assert_eq!(pairs + found.only_b.len(), b.len());
            for (one, other) in &found.same {
                prop_assert!((one.by_log && other.by_log && one.key == other.key) || (one.place() == other.place() && one.amount_e6 == other.amount_e6));
            }
            let places: std::collections::BTreeSet<_> = found.only_b.iter().map(Candidate::place).collect();
            prop_assert!(found.only_a.iter().all(|row| !places.contains(&row.place())), "no candidate pair is left unmatched");
            let swapped = match_rows(b, a);
            prop_assert_eq!((swapped.same.len(), swapped.differing.len()), (found.same.len(), found.differing.len()));
        }
    }
}
