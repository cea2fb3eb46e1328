//! The project's own tasks: `cargo xtask bench | ci | layers | sim`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to a terminal"
)]

use std::process::ExitCode;

mod bench;
mod ci;
mod layers;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  bench detect [--quick | --tune]
                           failure detectors beside each other, in virtual time
  ci                       everything that must pass before a change lands
  layers                   check who may depend on whom, and the pure crates' lints
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["bench", "detect", rest @ ..] => bench::detect(rest),
        ["ci"] => ci::run(),
        ["layers"] => layers::run(),
        ["sim", rest @ ..] => formic_campaign::sim(rest).map_err(|error| error.to_string()),
        _ => {
            eprint!("{USAGE}{}", formic_campaign::USAGE);
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
