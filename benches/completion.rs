//! `cargo bench -p formic-benches --bench completion -- --quick`: what a job costs the machines, per task.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use formic_benches::{Done, drive};
use formic_completion::Error;
use formic_sim::comparators::{Detector, Schedule, Shipped, Textbook};

/// Times one detector on one schedule; making the peers is not timed.
fn time<D: Detector>(
    criterion: &mut Criterion,
    (group, name): (&str, &str),
    schedule: &Schedule,
    fresh: impl Fn() -> D,
) {
    let tasks = schedule.tasks.len();
    let run = |mut peers: D| -> Result<(D, Done), Error> {
        let done = drive(schedule, &mut peers)?;
        Ok((peers, done))
    };
    let (_, done) = run(fresh()).expect("honest peers refuse nothing");
    assert_eq!((done.bodies, done.announcements), (tasks, 1), "{group}/{name} is not whole");
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(tasks as u64));
    group.bench_function(name, |bencher| {
        // The peers come back out, so that dropping them is not timed either.
        bencher.iter_batched(&fresh, |peers| black_box(run(peers)), BatchSize::LargeInput);
    });
    group.finish();
}

fn jobs(criterion: &mut Criterion) {
    let jobs = [
        ("completion/flat of 1,000 on 10", Schedule::flat(10, 1_000)),
        ("completion/tree of 1,022 on 10", Schedule::tree(10, 1_022, 2)),
    ];
    for (group, schedule) in &jobs {
        time(criterion, (group, "formic"), schedule, || Shipped::new(schedule));
        time(criterion, (group, "textbook counters"), schedule, || Textbook::new(schedule));
    }
}

criterion_group!(benches, jobs);
criterion_main!(benches);
