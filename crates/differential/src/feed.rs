//! A price feed as Chainlink builds one: a proxy that the oracle asks, and behind it an aggregator that writes the events.
//!
//! Both are a few instructions of our own, put together here, so that no compiler is needed.

use std::sync::LazyLock;

use alloy_primitives::{Address, Bytes, U256, keccak256};

use crate::abi::{selector, word, words};

/// One piece of a program.
enum Piece {
    /// Instructions as they are.
    Code(&'static [u8]),
    /// A constant on the stack.
    Push(Vec<u8>),
    /// Goes on here where the called function is this one: the selector is on the stack, and stays there.
    Function(&'static str),
    /// Ends a function: whatever was called is none of those before.
    Next,
}

use Piece::{Code, Function, Next, Push};

/// The selector of the call on the stack.
const SELECTOR: Piece = Code(&[0x5f, 0x35, 0x60, 0xe0, 0x1c]);

/// Returns the word on the stack.
const RETURN_WORD: Piece = Code(&[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);

/// The answer in its first storage word, the number of its round in the second; whoever wants may write a new one.
static AGGREGATOR: LazyLock<Bytes> = LazyLock::new(|| {
    assemble(&[
        SELECTOR,
        Function("latestAnswer()"),
        Code(&[0x5f, 0x54]),
        RETURN_WORD,
        Next,
        Function("latestRound()"),
        Code(&[0x60, 0x01, 0x54]),
        RETURN_WORD,
        Next,
        Function("transmit(int256)"),
        // The moment into memory, which is the event's data.
        Code(&[0x42, 0x5f, 0x52]),
        // The next round: on the stack, and stored.
        Code(&[0x60, 0x01, 0x54, 0x60, 0x01, 0x01, 0x80, 0x60, 0x01, 0x55]),
        // The answer: on the stack, and stored.
        Code(&[0x60, 0x04, 0x35, 0x80, 0x5f, 0x55]),
        // LOG3 wants the event's name under answer and round.
        Push(keccak256("AnswerUpdated(int256,uint256,uint256)").to_vec()),
        Code(&[0x60, 0x20, 0x5f, 0xa3, 0x00]),
        Next,
    ])
});

/// An adapter that computes a price: the feed in its first storage word, and how many per cent of its answer are the price in
/// the second, which whoever wants may change, and no log tells. With a phase in the third word and an aggregator in the fourth it
/// passes itself off as a proxy.
static ADAPTER: LazyLock<Bytes> = LazyLock::new(|| {
    assemble(&[
        SELECTOR,
        Function("latestAnswer()"),
        Code(&[0x5f, 0x35, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0x60, 0x04, 0x5f, 0x5f, 0x54, 0x5a, 0xfa, 0x50]),
        // The quotient of answer times per cent and a hundred.
        Code(&[0x60, 0x64, 0x60, 0x01, 0x54, 0x5f, 0x51, 0x02, 0x04]),
        RETURN_WORD,
        Next,
        Function("ASSET_TO_USD_AGGREGATOR()"),
        Code(&[0x5f, 0x54]),
        RETURN_WORD,
        Next,
        Function("setRatio(uint256)"),
        Code(&[0x60, 0x04, 0x35, 0x60, 0x01, 0x55, 0x00]),
        Next,
        Function("phaseId()"),
        Code(&[0x60, 0x02, 0x54]),
        RETURN_WORD,
        Next,
        Function("phaseAggregators(uint16)"),
        Code(&[0x60, 0x03, 0x54]),
        RETURN_WORD,
        Next,
    ])
});

/// The aggregator in its first storage word, the number of its phase in the second; whoever wants may name another.
static PROXY: LazyLock<Bytes> = LazyLock::new(|| {
    assemble(&[
        SELECTOR,
        Function("latestAnswer()"),
        // Hands the same call on and returns what comes back.
        Code(&[0x5f, 0x35, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0x60, 0x04, 0x5f, 0x5f, 0x54, 0x5a, 0xfa, 0x50]),
        Code(&[0x60, 0x20, 0x5f, 0xf3]),
        Next,
        Function("aggregator()"),
        Code(&[0x5f, 0x54]),
        RETURN_WORD,
        Next,
        Function("phaseId()"),
        Code(&[0x60, 0x01, 0x54]),
        RETURN_WORD,
        Next,
        Function("confirmAggregator(address)"),
        Code(&[0x60, 0x04, 0x35, 0x5f, 0x55]),
        Code(&[0x60, 0x01, 0x54, 0x60, 0x01, 0x01, 0x60, 0x01, 0x55]),
        // Behind both words, each phase's aggregator stays on record.
        Code(&[0x60, 0x04, 0x35, 0x60, 0x01, 0x54, 0x60, 0x01, 0x01, 0x55, 0x00]),
        Next,
        Function("phaseAggregators(uint16)"),
        Code(&[0x60, 0x04, 0x35, 0x60, 0x01, 0x01, 0x54]),
        RETURN_WORD,
        Next,
    ])
});

/// The runtime code of an aggregator.
pub fn aggregator() -> Bytes {
    AGGREGATOR.clone()
}

/// The runtime code of an adapter, whose first storage word is the feed below it.
pub fn adapter() -> Bytes {
    ADAPTER.clone()
}

/// The call that sets how many per cent of its feed's answer an adapter's price is.
pub fn set_ratio(percent: u64) -> Bytes {
    words("setRatio(uint256)", &[U256::from(percent)])
}

/// The runtime code of a proxy, whose first storage word is its aggregator and whose second is the phase.
pub fn proxy() -> Bytes {
    PROXY.clone()
}

/// Where the aggregator of a proxy's phase is: beside it.
pub fn behind(proxy: Address, phase: u8) -> Address {
    let mut at = proxy;
    at.0[0] = phase;
    at
}

/// The call that writes an answer.
pub fn transmit(price: U256) -> Bytes {
    words("transmit(int256)", &[price])
}

/// The call that puts another aggregator behind a proxy.
pub fn confirm(aggregator: Address) -> Bytes {
    words("confirmAggregator(address)", &[word(aggregator)])
}

/// Puts the pieces together; a call of none of the functions reverts.
fn assemble(pieces: &[Piece]) -> Bytes {
    let mut code: Vec<u8> = Vec::new();
    // Where the function being written keeps the place to go on at.
    let mut open = None;
    for piece in pieces {
        match piece {
            Code(bytes) => code.extend_from_slice(bytes),
            Push(bytes) => {
                code.push(0x5f + u8::try_from(bytes.len()).unwrap_or(32));
                code.extend_from_slice(bytes);
            }
            Function(signature) => {
                // DUP1 PUSH4 selector EQ ISZERO PUSH1 next JUMPI
                code.extend([0x80, 0x63]);
                code.extend(selector(signature));
                code.extend([0x14, 0x15, 0x60, 0x00, 0x57]);
                open = Some(code.len() - 2);
            }
            Next => {
                if let Some(place) = open.take() {
                    code[place] = u8::try_from(code.len()).unwrap_or(u8::MAX);
                }
                code.push(0x5b);
            }
        }
    }
    code.extend([0x5f, 0x5f, 0xfd]);
    code.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::word_at;
    use crate::evm::{ADMIN, Evm};

    #[test]
    fn answers_pass_through_the_proxy_and_leave_events() {
        let mut evm = Evm::new(1_000);
        let [front, first, second] = [1, 2, 3].map(Address::repeat_byte);
        evm.place(front, proxy());
        for behind in [first, second] {
            evm.place(behind, aggregator());
        }
        let ask = |evm: &mut Evm, at, what: &str| word_at(&evm.view(at, words(what, &[])).unwrap().unwrap(), 0);
        for (phase, behind) in [(1, first), (2, second)] {
            evm.call(ADMIN, front, confirm(behind)).unwrap().unwrap();
            assert_eq!(ask(&mut evm, front, "aggregator()"), word(behind));
            assert_eq!(ask(&mut evm, front, "phaseId()"), U256::from(phase));
            for round in 1..=3 {
                let price = U256::from(phase * 100 + round);
                evm.warp(1);
                let logs = evm.call(ADMIN, behind, transmit(price)).unwrap().unwrap().logs;
                assert_eq!(ask(&mut evm, front, "latestAnswer()"), price);
                assert_eq!(ask(&mut evm, behind, "latestRound()"), U256::from(round));
                assert_eq!((logs.len(), logs[0].address), (1, behind));
                let topics: Vec<U256> = logs[0].topics().iter().map(|topic| (*topic).into()).collect();
                let name = keccak256("AnswerUpdated(int256,uint256,uint256)").into();
                assert_eq!(topics, [name, price, U256::from(round)]);
                assert_eq!(word_at(&logs[0].data.data, 0), U256::from(evm.now()));
            }
        }
        assert!(evm.view(front, words("decimals()", &[])).unwrap().is_err());
    }

    #[test]
    fn an_adapter_computes() {
        let mut evm = Evm::new(1_000);
        let [front, behind] = [1, 2].map(Address::repeat_byte);
        evm.place(behind, aggregator());
        evm.place(front, adapter());
        evm.set_storage(front, U256::ZERO, word(behind)).unwrap();
        evm.call(ADMIN, behind, transmit(U256::from(250))).unwrap().unwrap();
        evm.call(ADMIN, front, set_ratio(150)).unwrap().unwrap();
        assert_eq!(word_at(&evm.view(front, words("latestAnswer()", &[])).unwrap().unwrap(), 0), U256::from(375));
    }
}
