//! Many seeds of the simulator on all cores.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use formic_sim::{
    Violation,
    completion::{self, Report},
};

/// Violations that are printed; all are counted.
const SHOWN: usize = 10;

struct Options {
    seeds: u64,
    first: u64,
    jobs: usize,
    /// End with the first violation.
    stop: bool,
}

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    match words {
        ["replay", seed] => return replay(number("SEED", seed)?, 80),
        ["replay", seed, lines] => {
            return replay(number("SEED", seed)?, number("LINES", lines)?);
        }
        _ => {}
    }
    let options = parse(words)?;
    let start = Instant::now();
    let (sum, violations) = campaign(&options);
    print(&options, &sum, start.elapsed().as_secs_f64());
    for violation in violations.iter().take(SHOWN) {
        println!("{violation}\n  again: cargo xtask sim replay {}", violation.seed);
    }
    let Some(first) = violations.first() else { return Ok(()) };
    if options.stop {
        let seeds = first.seed - options.first + 1;
        println!("caught after {seeds} seeds by {}", first.oracle);
    }
    let oracles = by_oracle(&violations);
    Err(format!("{} of {} seeds violate a claim: {oracles}", violations.len(), options.seeds))
}

fn parse(words: &[&str]) -> Result<Options, String> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut options = Options { seeds: 2_000, first: 1, jobs: cores, stop: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} takes a number"));
        match *word {
            "completion" => {}
            "--stop" => options.stop = true,
            "--seeds" => options.seeds = number(word, value()?)?,
            "--first" => options.first = number(word, value()?)?,
            "--jobs" => {
                let jobs = number(word, value()?)?;
                options.jobs = usize::try_from(jobs.clamp(1, 1_024)).unwrap_or(1);
            }
            _ => return Err(format!("sim: unknown word {word:?}; see cargo xtask")),
        }
    }
    if options.first.checked_add(options.seeds).is_none() {
        return Err("sim: --first plus --seeds is above the largest seed".to_owned());
    }
    Ok(options)
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{name} takes a whole number, not {text:?}"))
}

fn campaign(options: &Options) -> (Report, Vec<Violation>) {
    let next = AtomicU64::new(options.first);
    let end = options.first + options.seeds;
    let worker = || {
        let (mut sum, mut violations) = (Report::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return (sum, violations);
            }
            match guarded(seed) {
                Ok(report) => sum.merge(&report),
                Err(violation) => violations.push(violation),
            }
            if options.stop && !violations.is_empty() {
                next.fetch_max(end, Ordering::Relaxed); // Earlier seeds are under way or done.
            }
        }
    };
    let (mut sum, mut violations) = (Report::default(), Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            if let Ok((part, found)) = thread.join() {
                sum.merge(&part);
                violations.extend(found);
            }
        }
    });
    violations.sort_by_key(|violation| violation.seed);
    (sum, violations)
}

/// A machine that panics is a violation of its seed, not the end of the campaign.
fn guarded(seed: u64) -> Result<Report, Violation> {
    let run = std::panic::catch_unwind(|| completion::run(seed));
    run.unwrap_or_else(|_| Err(Violation::panicked(seed)))
}

/// How many seeds each oracle caught.
fn by_oracle(violations: &[Violation]) -> String {
    let mut counts = BTreeMap::new();
    for violation in violations {
        *counts.entry(violation.oracle).or_insert(0_u32) += 1;
    }
    counts.iter().map(|(oracle, count)| format!("{oracle} {count}")).collect::<Vec<_>>().join(", ")
}

fn print(options: &Options, sum: &Report, seconds: f64) {
    let last = options.first + options.seeds.saturating_sub(1);
    println!("completion, seeds {}..={last}", options.first);
    println!(
        "  {} runs held, {} tasks, {} executions, {} crashes, {} restarts, {} false suspicions",
        sum.seeds, sum.tasks, sum.executions, sum.crashes, sum.restarts, sum.suspicions
    );
    println!(
        "  {} messages, {} respawns, {} home take-overs, {} verdicts learnt, {} with exclusions",
        sum.messages, sum.respawns, sum.takeovers, sum.closed, sum.exclusions
    );
    println!(
        "  {} runs lost their home group for good before it had stored the job: not judged",
        sum.waived
    );
    println!(
        "  {} runs lost all that knew the verdict: whether the others end is not judged",
        sum.untold
    );
    println!(
        "  fault-free, virtual: last body to complete {:?} (max {:?}), complete to first verdict \
         {:?}, first to last verdict {:?}",
        sum.to_complete.mean(),
        sum.to_complete.max,
        sum.to_verdict.mean(),
        sum.to_all.mean()
    );
    let virtual_hours = sum.virtual_time.as_secs_f64() / 3_600.0;
    let speed = f64::from(u32::try_from(options.seeds).unwrap_or(u32::MAX)) / seconds.max(1e-9);
    println!("  {virtual_hours:.1} virtual hours in {seconds:.1} s, {speed:.0} seeds/s");
}

fn replay(seed: u64, lines: u64) -> Result<(), String> {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    match completion::replay(seed, lines) {
        Ok(report) => {
            println!("seed {seed} holds\n{report:#?}");
            Ok(())
        }
        Err(violation) => Err(violation.to_string()),
    }
}
