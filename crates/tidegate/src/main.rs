//! tidegate: follows a market shock from liquidations to where their value ends.
//!
//! The whole program is one `match` ([`commands::run`]): what the user typed ([`args`]) becomes a report ([`table`]), which is then written
//! ([`output`], [`chart`]).

mod analysis;
mod args;
mod chart;
mod commands;
mod layers;
mod market;
mod node;
mod output;
mod perps;
mod table;
mod text;
mod treasury;
mod workers;
mod world;

use std::process::ExitCode;

use args::Args;
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    match commands::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::complain(&error);
            commands::exit_code(&error)
        }
    }
}
