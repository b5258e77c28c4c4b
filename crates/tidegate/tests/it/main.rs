//! The program as its users meet it: the built binary, real files, real folders, exit codes and words.

#[cfg(test)]
mod analytics;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod import;
#[cfg(test)]
mod import_logs;
#[cfg(test)]
mod killed;
#[cfg(test)]
#[path = "../../../source/src/venue/tests/local/mod.rs"]
mod local;
#[cfg(test)]
mod map;
#[cfg(test)]
mod markets;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod perps;
#[cfg(test)]
mod perps_program;
#[cfg(test)]
mod real_data;
#[cfg(test)]
mod rebuild;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod support;
#[cfg(test)]
mod svr;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod treasury;
mod treasury_data;
mod treasury_killed;
#[cfg(test)]
mod two_writers;
#[cfg(test)]
mod venues;
