//! Development commands: `cargo xtask <command>`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these commands exist to report to the person who runs them"
)]

mod bench;
mod ci;
mod contracts;
mod deny;
mod prove;
mod registry;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask <command>

  test [args]          run all tests; args go to `cargo test`
  tidy                 check the house rules a compiler cannot check
  deny                 check dependencies: licences, bans, sources
  ci                   every step of CI, in its order
  contracts            install the contracts that tests run, once; `test` does it too
  prove [options]      run contracts and native pools side by side, by the million (--help lists options)
  bench liquidations [--rows N]
                       speed as ratios against DuckDB in one run (10 million rows, some minutes)
  bench health         speed of health factors as ratios against the contracts, numpy and memory in one run
  bench tick           cost of one move of prices for a million watched accounts, beside a full rescan
  bench sync [--logs N]
                       logs read a CPU-second, raw and decoded, as ratios against cryo in one run, and the floor of JSON
  bench fold           events folded a second from files to a book, stage by stage, the floor of Parquet, and memory
  registry [--check]   write the tables of tokens, chains and markets again, or compare them";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else {
        bail!("no command given\n\n{USAGE}");
    };
    match command.as_str() {
        "test" => test::run(rest),
        "tidy" => no_arguments(command, rest).and_then(|()| tidy::run()),
        "deny" => no_arguments(command, rest).and_then(|()| deny::run()),
        "ci" => no_arguments(command, rest).and_then(|()| ci::run()),
        "contracts" => no_arguments(command, rest).and_then(|()| contracts::run()),
        "prove" => prove::run(rest),
        "bench" => bench::run(rest),
        "registry" => registry::run(rest),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("there is no command `{command}`\n\n{USAGE}"),
    }
}

fn no_arguments(command: &str, rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(extra) => bail!("`{command}` takes no arguments, got `{extra}`: run it alone"),
    }
}
