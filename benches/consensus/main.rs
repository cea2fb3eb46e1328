//! `cargo xtask bench consensus [--quick] [--out STEM]`: the shipped voters with real keys (consensus.md 15).
//!
//! All voters share one thread; messages are encoded, decoded and checked as over a link, nothing is stored. The floor
//! is the cryptography of a decision alone, in rounds of the same run.
#![expect(clippy::print_stdout, reason = "a program that prints tables")]

use std::process::ExitCode;

use formic_identity::{AwsEd25519, AwsRsa2048, Ed25519, RSA_2048, Rsa2048};

mod rows;
mod table;

use rows::{certificate, decisions, delays, tickets, traffic};
use table::Table;

const USAGE: &str = "usage: consensus [--quick] [--out STEM]

  --quick      fewer and shorter rounds, at most 31 voters: a glance, no figures to keep
  --out STEM   writes STEM.md and STEM.json";

/// How long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Quick,
    Full,
}

impl Effort {
    /// Decisions of a round.
    const fn decisions(self, scheme: u8) -> u32 {
        match (self, scheme) {
            (Self::Quick, _) => 1,
            (Self::Full, RSA_2048) => 3,
            (Self::Full, _) => 10,
        }
    }

    const fn rounds(self) -> usize {
        match self {
            Self::Quick => 3,
            Self::Full => 15,
        }
    }

    const fn proofs(self) -> u64 {
        match self {
            Self::Quick => 20,
            Self::Full => 200,
        }
    }

    const fn solves(self, full: u64) -> u64 {
        match self {
            Self::Quick => full / 8,
            Self::Full => full,
        }
    }
}

fn run(effort: Effort) -> Result<Table, String> {
    let mut table = Table::default();
    for voters in [4, 7, 10] {
        decisions::<Ed25519>(&mut table, "Ed25519", (voters, effort))?;
        decisions::<AwsEd25519>(&mut table, "Ed25519, aws-lc", (voters, effort))?;
        decisions::<Rsa2048>(&mut table, "RSA", (voters, effort))?;
        decisions::<AwsRsa2048>(&mut table, "RSA, aws-lc", (voters, effort))?;
    }
    certificate::<Ed25519>(&mut table, "Ed25519", (10, 550.0, effort))?;
    certificate::<Rsa2048>(&mut table, "RSA", (10, 1_900.0, effort))?;
    certificate::<AwsRsa2048>(&mut table, "RSA, aws-lc", (10, 1_900.0, effort))?;
    tickets(&mut table, effort)?;
    let most = if effort == Effort::Quick { 31 } else { 100 };
    for voters in [4, 7, 10, 31, 100].into_iter().filter(|voters| *voters <= most) {
        traffic::<AwsEd25519>(&mut table, "Ed25519", voters)?;
        traffic::<AwsRsa2048>(&mut table, "RSA", voters)?;
    }
    for voters in [4, 7, 10] {
        delays::<AwsEd25519>(&mut table, "Ed25519", voters)?;
    }
    Ok(table)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (effort, stem) = match words.as_slice() {
        [] => (Effort::Full, None),
        ["--quick"] => (Effort::Quick, None),
        ["--out", stem] => (Effort::Full, Some(*stem)),
        ["--quick", "--out", stem] => (Effort::Quick, Some(*stem)),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let table = match run(effort) {
        Ok(table) => table,
        Err(error) => {
            println!("consensus: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", table.text());
    let Some(stem) = stem else { return ExitCode::SUCCESS };
    let files = [(format!("{stem}.md"), table.markdown()), (format!("{stem}.json"), table.json())];
    for (file, text) in files {
        if let Err(error) = std::fs::write(&file, text) {
            println!("consensus: {file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    // A goal missed is a result, printed as such; the program failed only if it could not run.
    ExitCode::SUCCESS
}
