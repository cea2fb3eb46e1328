//! `cargo xtask bench routing [--quick] [--seeds N] [--large N] [--first S] [--json FILE]`: the shipped
//! trails beside the usual balancers, in virtual time (pheromones.md 12).
//!
//! Figures depend on seeds alone, not on the machine.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints tables and what it is doing"
)]

mod contest;
mod engine;
mod figures;
mod formic;
mod goals;
mod report;
mod rivals;
mod rule;
mod tables;
mod world;

use std::{process::ExitCode, time::Instant};

const USAGE: &str = "usage: routing [--quick] [--seeds N] [--large N] [--first S] [--json FILE]

  --quick      a tenth of the seeds, ten peers only: shows the shape, judges nothing
  --seeds N    seeds per row of ten peers, 0 or at least 2; default 20
  --large N    seeds per row of a hundred peers, 0 or at least 2; default 4
  --first S    the first seed; default 1,000,001: no constant was tuned on those
  --json FILE  writes all rows there";

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Rows that are judged; `--quick` prints fewer.
    pub(crate) effort: Effort,
    pub(crate) seeds: u64,
    pub(crate) large: u64,
    pub(crate) first: u64,
    pub(crate) json: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Quick,
    Full,
}

impl Plan {
    fn parse(words: &[String]) -> Result<Self, String> {
        let quick = words.iter().any(|word| word == "--quick");
        let effort = if quick { Effort::Quick } else { Effort::Full };
        let (seeds, large) = if quick { (2, 0) } else { (20, 4) };
        let mut plan = Self { effort, seeds, large, first: 1_000_001, json: None };
        let mut words = words.iter().filter(|word| *word != "--quick");
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} takes a value\n{USAGE}"))?;
            let number = || {
                value.parse::<u64>().map_err(|_| format!("{word} takes a number, not {value:?}"))
            };
            match word.as_str() {
                "--seeds" => plan.seeds = number()?,
                "--large" => plan.large = number()?,
                "--first" => plan.first = number()?,
                "--json" => plan.json = Some(value.clone()),
                _ => return Err(format!("unknown word {word:?}\n{USAGE}")),
            }
        }
        if plan.seeds == 1 || plan.large == 1 || plan.seeds + plan.large == 0 {
            return Err("an interval needs at least 2 seeds".to_owned());
        }
        Ok(plan)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let plan = match Plan::parse(&words) {
        Ok(plan) => plan,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let rows = tables::print(&plan);
    goals::print(&plan, &rows);
    println!("\n{} s of wall time", start.elapsed().as_secs());
    if let Some(path) = &plan.json
        && let Err(error) = report::write(path, &plan, &rows)
    {
        eprintln!("{path}: {error}");
        return ExitCode::FAILURE;
    }
    // A goal missed is a result, printed as such; the program failed only if it could not run.
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Plan, String> {
        Plan::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_understood_or_refused() {
        let plan = parse(&["--quick", "--seeds", "5", "--json", "x.json"]).unwrap();
        assert_eq!((plan.effort, plan.seeds, plan.large), (Effort::Quick, 5, 0));
        assert_eq!(plan.json.as_deref(), Some("x.json"));
        for bad in [&["--seeds"][..], &["--seeds", "x"], &["--seeds", "1"], &["--fast", "1"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
