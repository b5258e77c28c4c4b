//! The only crate that reads the outside: today files, and the archive they become.
//!
//! * [`archive`]: the files on disk, written atomically, read with pruning;
//! * [`log`]: logs as a node returns them;
//! * [`rpc`]: what is asked of nodes, over several endpoints at once;
//! * [`decode`]: what a market's logs and answers say;
//! * [`markets`]: which markets there are, and how one is found on its chain;
//! * [`import`]: other people's files, re-expressed as rows of the archive;
//! * [`proof`]: which logs a node left out, and how that shows;
//! * [`sync`]: from a chain's nodes to the archive;
//! * [`venue`]: what venues of perpetual futures publish;
//! * [`spill`]: what must be remembered of a stream, in bounded memory;
//! * [`error`]: what can go wrong, each with what, where and what to do.
//!
//! What this crate does not do: it derives nothing (no totals, no positions) and writes nothing for people to read.

pub mod archive;
pub mod decode;
pub mod error;
pub mod import;
pub mod log;
pub mod markets;
pub mod proof;
mod quiet;
pub mod rpc;
pub mod spill;
pub mod sync;
pub mod venue;
mod web;

pub use error::{Error, Result};
