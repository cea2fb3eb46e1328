//! `cargo xtask fuzz [TARGET..] [--minutes M] [--seed S]`: hostile bytes for what reads bytes of strangers.
//!
//! Real messages, proofs, bindings and keys are mutated; an input that ends in a way that was not seen before is kept and
//! mutated further. No coverage feedback, stable toolchain. Same seed, same inputs.
#![expect(clippy::print_stdout, reason = "a program that says what it does")]

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::{Duration, Instant},
};

use formic_core::Random;

mod targets;

use targets::{Target, all};

const USAGE: &str = "usage: fuzz [TARGET..] [--minutes M] [--seed S]

  TARGET       message, proof, binding, ticket, ed25519, rsa, secret; default all
  --minutes M  for each target; default 1
  --seed S     another run; default 1";

/// Inputs kept beside the first ones.
const KEPT_MAX: usize = 4_096;
/// The longest input: a message may be longer, but not to say more.
const INPUT_MAX: usize = 64 * 1_024;
/// Peak memory of the process. Decoding one message may claim 16 MiB.
const PEAK_KB_MAX: u64 = 256 * 1_024;

/// What a campaign of one target did.
#[derive(Debug, Default)]
pub(crate) struct Campaign {
    pub(crate) inputs: u64,
    /// How often an input ended in which way.
    pub(crate) ends: BTreeMap<String, u64>,
}

/// Mutates until `go_on` says no.
fn campaign(
    target: &Target,
    seed: u64,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<Campaign, String> {
    let (mut random, mut done) = (Random::new(seed), Campaign::default());
    let mut corpus = target.corpus.clone();
    let mut seen = BTreeSet::new();
    for good in &target.corpus {
        let end = (target.run)(good);
        if end != "accepted" {
            return Err(format!("{}: its own example ends as {end}", target.name));
        }
    }
    while go_on(done.inputs) {
        let input = mutate(&mut random, &corpus);
        let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        let end = ran.map_err(|_| format!("{}: panics at {}", target.name, hex(&input)))?;
        done.inputs += 1;
        if end.starts_with("WRONG") {
            return Err(format!("{}: {end} at {}", target.name, hex(&input)));
        }
        if seen.insert(end.clone()) && corpus.len() < target.corpus.len() + KEPT_MAX {
            corpus.push(input);
        }
        *done.ends.entry(end).or_default() += 1;
    }
    Ok(done)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An input of the corpus with one to four changes.
fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(corpus).cloned().unwrap_or_default();
    for _ in 0..=random.below(4) {
        let length = bytes.len() as u64;
        let place = |random: &mut Random| usize::try_from(random.below(length)).unwrap_or(0);
        let at = place(random);
        let to = (at + 1 + usize::try_from(random.below(8)).unwrap_or(0)).min(bytes.len());
        match random.below(8) {
            _ if bytes.is_empty() => bytes.push(0),
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = u8::try_from(random.below(256)).unwrap_or(0),
            // Lengths and counts at their limits.
            3 => bytes[at..to].fill(0xff),
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..to)),
            6 => bytes.splice(at..at, vec![251; to - at]).for_each(drop),
            _ => {
                let other = random.pick(corpus).cloned().unwrap_or_default();
                bytes.truncate(at);
                bytes.extend(other.iter().skip(at));
            }
        }
    }
    bytes.truncate(INPUT_MAX);
    bytes
}

/// Peak memory of this process in kB, where the system tells.
fn peak_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn run(names: &[&str], minutes: u64, seed: u64) -> Result<(), String> {
    let targets = all()?;
    if let Some(unknown) = names.iter().find(|name| !targets.iter().any(|it| it.name == **name)) {
        return Err(format!("no target {unknown}\n{USAGE}"));
    }
    let chosen = targets.iter().filter(|it| names.is_empty() || names.contains(&it.name));
    for target in chosen {
        let end = Instant::now() + Duration::from_secs(60 * minutes);
        let done = campaign(target, seed, |inputs| inputs % 256 != 0 || Instant::now() < end)?;
        let accepted = done.ends.get("accepted").copied().unwrap_or(0);
        println!(
            "{}: {} inputs, {accepted} accepted, {} kinds of end, peak {} kB",
            target.name,
            done.inputs,
            done.ends.len(),
            peak_kb().unwrap_or(0)
        );
    }
    match peak_kb() {
        Some(peak) if peak > PEAK_KB_MAX => Err(format!("peak memory {peak} kB")),
        _ => Ok(()),
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (mut names, mut minutes, mut seed) = (vec![], 1, 1);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let number = match word.as_str() {
            "--minutes" => &mut minutes,
            "--seed" => &mut seed,
            name if !name.starts_with('-') => {
                names.push(name);
                continue;
            }
            _ => {
                println!("{USAGE}");
                return ExitCode::from(2);
            }
        };
        let Some(value) = words.next().and_then(|value| value.parse().ok()) else {
            println!("{word} takes a whole number\n{USAGE}");
            return ExitCode::from(2);
        };
        *number = value;
    }
    match run(&names, minutes, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The short run of `cargo test`: each target sees its own examples, and thousands of mutations.
    #[test]
    fn each_target_holds_for_a_moment() {
        for target in all().unwrap() {
            let done = campaign(&target, 1, |inputs| inputs < 2_000).unwrap();
            assert!(done.ends.len() >= target.ends_min, "{}: {:?}", target.name, done.ends);
        }
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let corpus = vec![vec![1, 2, 3]];
        let lax = Target {
            name: "lax",
            corpus: corpus.clone(),
            ends_min: 1,
            run: Box::new(|bytes| match bytes {
                [1, 2, 3] => "accepted".to_owned(),
                _ => "WRONG".to_owned(),
            }),
        };
        assert!(
            campaign(&lax, 1, |inputs| inputs < 100).unwrap_err().starts_with("lax: WRONG at ")
        );
        let rough = Target {
            name: "rough",
            corpus,
            ends_min: 1,
            run: Box::new(|bytes| {
                assert!(bytes.len() < 4, "long");
                "accepted".to_owned()
            }),
        };
        let told = campaign(&rough, 1, |inputs| inputs < 1_000).unwrap_err();
        assert!(told.starts_with("rough: panics at "), "{told}");
    }
}
