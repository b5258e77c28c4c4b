//! Reading answers word by word. A node, or a contract that is not what it seems, can answer anything, so every length
//! is checked and nothing is allocated on a length's word alone.

use alloy_primitives::U256;
use protocol::Address;

/// A word of the ABI.
const WORD: usize = 32;

/// The whole number at a place, counted in words.
fn uint_at(bytes: &[u8], place: usize) -> Option<U256> {
    let begin = place.checked_mul(WORD)?;
    bytes.get(begin..begin.checked_add(WORD)?).map(U256::from_be_slice)
}

/// An answer of one whole number.
pub(super) fn uint(bytes: &[u8]) -> Option<U256> {
    uint_at(bytes, 0)
}

/// An answer of one address that is not zero.
pub(super) fn address(bytes: &[u8]) -> Option<Address> {
    address_at(bytes, 0).filter(|address| !address.is_zero())
}

/// `None` where the word is longer than an address.
fn address_at(bytes: &[u8], place: usize) -> Option<Address> {
    let begin = place.checked_mul(WORD)?;
    let word = bytes.get(begin..begin.checked_add(WORD)?)?;
    word[..12].iter().all(|byte| *byte == 0).then(|| Address::from_slice(&word[12..]))
}

/// An answer of one list of at most `most` addresses.
pub(super) fn addresses(bytes: &[u8], most: usize) -> Option<Vec<Address>> {
    let (begin, count) = dynamic(bytes)?;
    if count > most {
        return None;
    }
    let list = bytes.get(begin..)?;
    (0..count).map(|place| address_at(list, place)).collect()
}

/// An answer of one string of at most `most` bytes; what is not UTF-8 in it is replaced.
pub(crate) fn text(bytes: &[u8], most: usize) -> Option<String> {
    let (begin, count) = dynamic(bytes)?;
    let text = bytes.get(begin..begin.checked_add(count)?)?;
    (count <= most).then(|| String::from_utf8_lossy(text).into_owned())
}

/// Where the one dynamic value of an answer begins, in bytes, and its length in its own units.
fn dynamic(bytes: &[u8]) -> Option<(usize, usize)> {
    let offset = usize::try_from(uint_at(bytes, 0)?).ok()?;
    let count = usize::try_from(uint_at(bytes.get(offset..)?, 0)?).ok()?;
    Some((offset.checked_add(WORD)?, count))
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::SolValue as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_encoded_reads_back(
            list in prop::collection::vec(any::<[u8; 20]>(), 0..40),
            string in ".{0,60}",
            number in any::<[u64; 4]>(),
        ) {
            let list: Vec<Address> = list.into_iter().map(Address::from).collect();
            prop_assert_eq!(addresses(&list.abi_encode(), 40), Some(list));
            prop_assert_eq!(text(&string.abi_encode(), 400), Some(string));
            let number = U256::from_limbs(number);
            prop_assert_eq!(uint(&number.abi_encode()), Some(number));
        }

        #[test]
        fn nothing_that_is_answered_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (uint(&bytes), address(&bytes), addresses(&bytes, 8), text(&bytes, 64));
        }

        #[test]
        fn what_is_cut_off_is_no_answer(list in prop::collection::vec(any::<[u8; 20]>(), 1..10), cut in 1_usize..32) {
            let list: Vec<Address> = list.into_iter().map(Address::from).collect();
            let whole = list.abi_encode();
            prop_assert_eq!(addresses(&whole[..whole.len() - cut], 40), None);
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        let mut huge = vec![0_u8; 96];
        huge[31] = 32;
        huge[32..64].fill(0xff);
        assert_eq!(addresses(&huge, 128), None);
        assert_eq!(text(&huge, 128), None);
        huge[32..64].fill(0);
        huge[63] = 1;
        assert_eq!(addresses(&huge, 128).map(|list| list.len()), Some(1));
        assert_eq!(addresses(&huge, 0), None, "more than asked for");
        huge[..32].fill(0xff);
        assert_eq!(addresses(&huge, 128), None, "an offset beyond the end");
    }

    #[test]
    fn an_address_is_a_word_with_nothing_before_it() {
        let mut word = [0_u8; 32];
        assert_eq!(address(&word), None, "zero");
        word[31] = 7;
        assert!(address(&word).is_some());
        word[0] = 1;
        assert_eq!(address(&word), None);
        assert_eq!(address(&word[..31]), None);
    }
}
