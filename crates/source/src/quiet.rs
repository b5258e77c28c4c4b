//! Running a decoder that may panic on damaged input, and turning the panic into a value.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// The decoder panicked: the input is damaged in a way it does not check for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs a decoder on input from outside. Its panic is neither printed nor passed on. What the decoder worked on must not be
/// used again after one.
pub(crate) fn run<T>(decode: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(decode)).map_err(|_| Panicked);
    QUIET.set(outer);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value() {
        assert_eq!(run(|| 7), Ok(7));
        assert_eq!(run(|| panic!("damaged")), Err::<(), _>(Panicked));
        assert_eq!(run(|| run(|| panic!("inside"))), Ok(Err::<(), _>(Panicked)));
    }
}
