//! Work shared by as many threads as the machine has cores, without any order in the results.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads share work.
pub(crate) fn count() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Lets every worker take items until none is left, and gives back each worker's state.
///
/// Which worker meets which item is chance, so states must be of a kind that joins to the same result either way.
pub(crate) fn share<T: Sync, S: Send, E: Send>(
    items: &[T],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> Result<(), E> + Sync,
) -> Result<Vec<S>, E> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = state();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut state, item)?;
        }
        Ok(state)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count().min(items.len()).max(1)).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
