//! The search for foca's settings: what a careful user would do who needs 450 ms.

use core::time::Duration;

use formic_benches::{Swim, Tuning};
use formic_sim::detect::{Crashes, Setting, crashes, watch};

use crate::rows::each;

/// Not the seed of the tables.
const SEED: u64 = 7;
const BOUND: Duration = Duration::from_millis(450);
/// Messages a second per peer at 10 % loss: what `formic` promises to stay below.
const BUDGET: f64 = 100.0;

struct Found {
    tuning: Tuning,
    worst: [Duration; 2],
    false_per_hour: f64,
    messages: f64,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// All combinations that are tried.
fn grid() -> Vec<Tuning> {
    let mut grid = Vec::new();
    for (period, round_trip) in
        [(25, 8), (40, 10), (50, 10), (50, 15), (60, 10), (60, 20), (80, 20)]
    {
        for suspicion in [60, 90, 120, 150, 180, 210, 250] {
            for (indirect, gossip, fan) in [(3, 20, 3), (3, 10, 4), (5, 20, 3), (8, 20, 3)] {
                grid.push(Tuning {
                    period: ms(period),
                    round_trip: ms(round_trip),
                    indirect,
                    suspicion: ms(suspicion),
                    gossip: ms(gossip),
                    fan,
                    tell: 10,
                });
            }
        }
    }
    grid
}

pub(crate) fn print() {
    let found = each(&grid(), measure);
    let mut found: Vec<Found> = found.into_iter().flatten().collect();
    let rank = |a: &Found, b: &Found| {
        let false_first = a.false_per_hour.total_cmp(&b.false_per_hour);
        false_first.then(a.messages.total_cmp(&b.messages))
    };
    found.sort_by(rank);
    println!("{} settings stay within {BOUND:?}. The best of them:\n", found.len());
    table(found.iter().take(10));
    println!("\nThe best with at most {BUDGET} messages a second:\n");
    table(found.iter().filter(|found| found.messages <= BUDGET).take(10));
}

fn table<'a>(rows: impl Iterator<Item = &'a Found>) {
    println!(
        "| period | round trip | indirect | suspicion | gossip | slowest of 300, n = 10 | n = 100 \
         | false per peer-hour, 10 % loss, n = 10 | messages/s per peer |\n|---|---|---|---|---|---|---|---|---|"
    );
    for Found { tuning, worst, false_per_hour, messages } in rows {
        println!(
            "| {:?} | {:?} | {} | {:?} | {:?} to {} | {:?} | {:?} | {false_per_hour:.1} | {messages:.0} |",
            tuning.period,
            tuning.round_trip,
            tuning.indirect,
            tuning.suspicion,
            tuning.gossip,
            tuning.fan,
            worst[0],
            worst[1],
        );
    }
}

/// `None`: it does not keep the bound.
fn measure(tuning: &Tuning) -> Option<Found> {
    let small = worst(tuning, 10, (300, 1))?;
    let large = worst(tuning, 100, (12, 25))?;
    let setting = Setting { loss_permille: 100, ..Setting::new(10, SEED) };
    let span = (Duration::from_secs(2), Duration::from_secs(1_200));
    let quiet = watch(&setting, span, |seat| Swim::new(seat, tuning));
    let lived = quiet.lived.as_secs_f64();
    Some(Found {
        tuning: *tuning,
        worst: [small, large],
        false_per_hour: quiet.false_verdicts as f64 * 3_600.0 / lived,
        messages: quiet.messages as f64 / lived,
    })
}

/// The slowest crash, if all are known within the bound.
fn worst(tuning: &Tuning, peers: usize, (worlds, each): (u64, usize)) -> Option<Duration> {
    let gap = Duration::from_secs(1);
    let plan = Crashes { worlds, each, gap, patience: gap, ..Crashes::single() };
    let figures = crashes(&Setting::new(peers, SEED), &plan, |seat| Swim::new(seat, tuning));
    let worst = figures.detected.iter().max().copied().filter(|_| figures.missed == 0)?;
    (worst <= BOUND).then_some(worst)
}
