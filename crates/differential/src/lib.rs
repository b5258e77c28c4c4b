//! The real contracts beside the native pool: both take the same steps, and every figure must be the same.

pub mod abi;
pub mod action;
pub mod anvil;
pub mod artifacts;
pub mod backend;
pub mod chain;
pub mod chance;
pub mod compare;
pub mod deploy;
pub mod event;
pub mod evm;
pub mod feed;
pub mod folded;
pub mod generate;
pub mod http;
pub mod market;
pub mod mirror;
pub mod prove;
pub mod proxy;
pub mod shrink;
pub mod svr;
pub mod world;
