//! `cargo xtask bench detect [--quick | --tune]`: failure detectors beside each other, in virtual time.
//!
//! Figures depend on seeds alone, not on the machine.
#![expect(clippy::print_stdout, reason = "a program that prints tables")]

use std::{process::ExitCode, time::Instant};

mod contest;
mod rows;
mod tables;
mod tune;

const USAGE: &str = "usage: detect [--quick | --tune]

  --quick   n = 10 and 100 only, fewer crashes, shorter watches
  --tune    the search for foca's settings";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let start = Instant::now();
    match words.as_slice() {
        [] => tables::print(rows::Effort::Full),
        ["--quick"] => tables::print(rows::Effort::Quick),
        ["--tune"] => tune::print(),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    println!("\n{} s of wall time", start.elapsed().as_secs());
    ExitCode::SUCCESS
}
