//! Maps of perpetual futures on recorded data, where it is at hand; it is no part of the repository.
//!
//! Each test prints its figures (`--nocapture`) and asserts what must not get worse unseen.

mod estimated;
pub(crate) mod load;
mod measured;
