//! `cargo run -p formic-sim --example naive`: one schedule, two ways to know when all is done, side by side.
#![expect(clippy::print_stdout, reason = "a program for people")]

use core::time::Duration;
use std::collections::BTreeSet;

use formic_completion::Error;
use formic_sim::comparators::{Announcement, Fault, Naive, Run, Schedule, Shipped, Textbook, play};

const WIDTH: usize = 54;

fn ms(span: Duration) -> String {
    format!("{}.{} ms", span.as_millis(), span.subsec_micros() % 1_000 / 100)
}

/// Lines of both runs in order of time; those of one moment share rows.
fn side_by_side(left: &Run, right: &Run) {
    println!(
        "{:>8}  {:WIDTH$}  with `formic_completion::Completion`",
        "time", "with the naive scan"
    );
    let mut times: Vec<Duration> =
        left.lines.iter().chain(&right.lines).map(|line| line.at).collect();
    times.sort();
    times.dedup();
    for at in times {
        let of = |run: &Run| -> Vec<String> {
            let lines = run.lines.iter().filter(|line| line.at == at);
            lines.map(|line| format!("peer {} {}", line.peer, line.text)).collect()
        };
        let (left, right) = (of(left), of(right));
        for row in 0..left.len().max(right.len()) {
            let cell = |side: &[String]| side.get(row).cloned().unwrap_or_default();
            println!("{:>8}  {:WIDTH$}  {}", ms(at), cell(&left), cell(&right));
        }
    }
}

fn verdict(schedule: &Schedule, run: &Run) -> String {
    match &run.announced {
        None => "never announces, though nothing runs any more".to_owned(),
        Some(Announcement { at, early: None, .. }) => {
            let last = run.bodies.iter().filter_map(|body| body.to).max().unwrap_or_default();
            let after = ms(at.saturating_sub(last));
            format!("announces at {}, {after} after the last body ended", ms(*at))
        }
        Some(Announcement { at, running, .. }) => {
            let names: BTreeSet<&str> = running.iter().map(|task| schedule.name(*task)).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            format!("announces TOO EARLY at {}, while {names} runs", ms(*at))
        }
    }
}

/// How many of 80 moments to begin the scan end in an early announcement.
fn early_scans(schedule: &Schedule) -> Result<usize, Error> {
    let mut early = 0;
    for half_ms in 0..80 {
        let scan = Duration::from_micros(half_ms * 500);
        let schedule = Schedule { scan, ..schedule.clone() };
        let run = play(&schedule, None, Naive::new(&schedule))?;
        early += usize::from(run.announced.is_some_and(|said| said.early.is_some()));
    }
    Ok(early)
}

fn main() -> Result<(), Error> {
    let schedule = Schedule::recorded();
    let naive = play(&schedule, None, Naive::new(&schedule))?;
    let ours = play(&schedule, None, Shipped::new(&schedule))?;
    println!("Three peers, no fault. Times count from the start of `plan`.\n");
    side_by_side(&naive, &ours);
    println!("\nnaive scan        no fault       {}", verdict(&schedule, &naive));
    println!("formic            no fault       {}", verdict(&schedule, &ours));
    let ms = Duration::from_millis;
    let faults = [
        ("no fault", None),
        ("Work doubled", Some(Fault::Doubled { task: 1, later: ms(1) })),
        ("peer 2 dies", Some(Fault::Crash { peer: 2, at: ms(8), noticed: ms(300) })),
    ];
    for (name, fault) in faults {
        let textbook = play(&schedule, fault, Textbook::new(&schedule))?;
        let ours = play(&schedule, fault, Shipped::new(&schedule))?;
        println!("textbook counters {name:14} {}", verdict(&schedule, &textbook));
        if fault.is_some() {
            println!("formic            {name:14} {}", verdict(&schedule, &ours));
        }
    }
    let early = early_scans(&schedule)?;
    println!(
        "\nThe naive scan begins at 80 moments from 0 to 39.5 ms: {early} announce too early."
    );
    Ok(())
}
