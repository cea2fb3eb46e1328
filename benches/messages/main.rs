//! `cargo xtask bench messages [--quick]`: messages per second and processor time beside others.
//!
//! Rounds of ours and theirs alternate in one process; figures are medians, ratios carry the interval that holds them with
//! 95 %. Processor time is of all threads, both ends.
#![expect(clippy::print_stdout, reason = "a program that prints tables")]
#![expect(clippy::disallowed_methods, reason = "every task is awaited or aborted in its round")]
#![expect(clippy::excessive_nesting, reason = "a round is one block_on around its tasks")]

use std::process::ExitCode;

mod actors;
mod channels;
mod mesh;
mod network;
mod table;

use table::{Effort, Table};

const USAGE: &str = "usage: messages [--quick] [--json FILE]

  --quick      fewer and shorter rounds: a glance, no figures to keep
  --json FILE  the table as JSON, every round of both sides";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (effort, file) = match words.as_slice() {
        [] => (Effort::Full, None),
        ["--quick"] => (Effort::Quick, None),
        ["--json", file] => (Effort::Full, Some(*file)),
        ["--quick", "--json", file] => (Effort::Quick, Some(*file)),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut table = Table::new(effort);
    let done = mesh::rows(&mut table).and_then(|()| network::rows(&mut table));
    println!("{}", table.text());
    if let Err(error) = done {
        println!("messages: {error}");
        return ExitCode::FAILURE;
    }
    if let Some(file) = file
        && let Err(error) = std::fs::write(file, table.json())
    {
        println!("messages: {file}: {error}");
        return ExitCode::FAILURE;
    }
    table.verdict()
}
