//! The project's own tasks: `cargo xtask bench | ci | conformance | fuzz | hosts | layers | mutants | sim`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that talks to a terminal"
)]

use std::process::ExitCode;

mod bench;
mod ci;
mod conformance;
mod hosts;
mod layers;
mod mutants;
mod rules;
mod trails;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  bench completion [--seeds N]
                           our completion beside the published ones: what they cost, and which fault
                           breaks which (N runs per cell, default 200)
  bench consensus [--quick] decisions over their cryptography, certificates, tickets, messages; --out STEM
                           writes STEM.md and STEM.json
  bench detect [--quick | --tune]
                           failure detectors beside each other, in virtual time
  bench messages [--quick] messages per second beside tokio channels, kameo, ractor and bare quinn;
                           --json FILE
  bench routing [--quick]  trails beside the usual balancers, in virtual time; --seeds N, --large N,
                           --first S, --json FILE
  bench trails             two kinds of work on real processes, peers ten times as fast at one, swapped
                           half-way; --formic FILE runs another build, --one-kind a plan without kinds
  ci                       everything that must pass before a change lands
  conformance              the suite every transport must pass, as a table of cases and transports
  fuzz [TARGET..] [--minutes M] [--seed S]
                           hostile bytes for what reads bytes of strangers: messages of consensus, proofs,
                           bindings, tickets, keys; M minutes for each (default 1)
  hosts [SCENARIO..|all]   real peers in network namespaces: loss, cuts, kills; --allow-skip where they
                           do not work
  layers                   check who may depend on whom, and the pure crates' lints
  mutants [CRATE..]        remove each rule of xtask/rules.txt in turn and see who notices
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["bench", rest @ ..] => bench::run(rest),
        ["ci"] => ci::run(),
        ["conformance"] => conformance::run(),
        ["fuzz", rest @ ..] => bench::program("fuzz", rest),
        ["hosts", rest @ ..] => hosts::run(rest),
        ["layers"] => layers::run(),
        ["mutants", rest @ ..] => mutants::run(rest),
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
