//! Leverage.
