//! `cargo run --profile sim -p formic-sim --example campaign -- FIRST COUNT`: many seeds, two threads.
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people")]

use std::time::Instant;

use formic_sim::completion::{Report, run};

#[expect(clippy::disallowed_types, reason = "the campaign's own speed is measured here")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let number = |at: usize| std::env::args().nth(at).and_then(|text| text.parse::<u64>().ok());
    let (first, count) = (number(1).unwrap_or(0), number(2).unwrap_or(1_000));
    let start = now();
    let work = move |part: u64| {
        let mut sum = Report::default();
        let mut bad = Vec::new();
        for seed in (first..first + count).filter(|seed| seed % 2 == part) {
            match run(seed) {
                Ok(report) => sum.merge(&report),
                Err(violation) => bad.push(violation),
            }
        }
        (sum, bad)
    };
    let other = std::thread::spawn(move || work(1));
    let (mut sum, mut bad) = work(0);
    if let Ok((report, more)) = other.join() {
        sum.merge(&report);
        bad.extend(more);
    }
    bad.sort_by_key(|violation| violation.seed);
    for violation in bad.iter().skip(1).take(30) {
        println!("seed {} {} {}", violation.seed, violation.oracle, violation.what);
    }
    if let Some(violation) = bad.first() {
        println!("{violation}");
    }
    println!("{sum:#?}\n{} violations, {:?}", bad.len(), start.elapsed());
}
