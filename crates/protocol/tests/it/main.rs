//! What the pure crate says, held against recorded accounts and against what must always be true.

#[cfg(test)]
mod colend;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod lido;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod revisions;
#[cfg(test)]
mod venue;
#[cfg(test)]
mod venue_examples;
#[cfg(test)]
mod world;
