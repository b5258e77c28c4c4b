//! tidegate: follows a market shock from liquidations to where their value ends.
//!
//! The whole program is one `match`: what the user typed ([`args`]) becomes a report ([`table`]), which is then written
//! ([`output`], [`chart`]).

mod analysis;
mod args;
mod chart;
mod commands;
mod output;
mod table;
mod text;
mod workers;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Demo(demo) => commands::demo::run(&demo),
        Command::Import { what: args::Import::Liquidations(import) } => commands::import::run(&args.archive, &import),
        Command::Datasets(output) => commands::datasets::run(&args.archive, &output),
        Command::Liquidations(liquidations) => commands::liquidations::run(&args.archive, &liquidations),
        Command::Reconcile(reconcile) => commands::reconcile::run(&args.archive, &reconcile),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}
