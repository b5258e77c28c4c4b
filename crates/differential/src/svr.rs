//! Recapture on a chain of one's own: our contracts, deployed, and the people around them.
//!
//! [`oracle`] is a price with a public and an auctioned view, [`house`] where bids go, [`lab`] real Aave on top of both, and
//! [`scene`] plays there what an indexer must tell apart, and says what truly happened.

pub mod house;
pub mod key;
pub mod lab;
pub mod oracle;
pub mod report;
pub mod scene;
