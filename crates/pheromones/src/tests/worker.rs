//! P15 to P17.

use core::time::Duration;

use formic_core::Time;

use super::harness::{KIND, ms};
use crate::{Backlog, Config, Kind, Ledger, Probe, Running, Size};

const IDLE: Backlog<'_> = Backlog { queued: &[], running: &[], slots: 1 };

fn probe(kind: Kind) -> Probe {
    Probe { kind, size: Size::MEAN, mean: ms(100), asked: 5, count: 1, holds: ms(2) }
}

fn at(seconds: u64) -> Time {
    Time::from_us(seconds * 1_000_000)
}

fn served(ledger: &mut Ledger, kind: Kind, seconds: core::ops::Range<u64>, service: Duration) {
    seconds.for_each(|second| ledger.served(at(second), kind, Size::MEAN, service));
}

#[test]
fn p15_a_machine_that_has_changed_is_believed_after_a_few_services() {
    let mut ledger = Ledger::new(&Config::default());
    served(&mut ledger, KIND, 0..40, ms(20));
    served(&mut ledger, KIND, 40..50, ms(200));
    let (_, service) = ledger.promise(at(50), &probe(KIND), &IDLE);
    assert!(service > ms(70), "{service:?}");
    // One straggler is none: a decayed mean of forty and one at ten times.
    let mut steady = Ledger::new(&Config::default());
    served(&mut steady, KIND, 0..40, ms(20));
    served(&mut steady, KIND, 40..41, ms(200));
    let (_, service) = steady.promise(at(41), &probe(KIND), &IDLE);
    assert!(service < ms(40), "{service:?}");
}

#[test]
fn p16_an_unused_peer_promises_the_probers_mean_and_borrows_its_own_speed() {
    let mut ledger = Ledger::new(&Config::default());
    assert_eq!(ledger.promise(at(0), &probe(KIND), &IDLE).1, ms(100));
    served(&mut ledger, KIND, 0..40, ms(20));
    let (_, other) = ledger.promise(at(40), &probe(Kind(8)), &IDLE);
    assert!((ms(20)..ms(45)).contains(&other), "five times as fast at the other kind: {other:?}");
}

#[test]
fn p16_a_promise_is_for_the_size_asked_for() {
    let mut ledger = Ledger::new(&Config::default());
    let size = Size::new(2 << 16).unwrap();
    let large = Probe { size, ..probe(KIND) };
    assert_eq!(ledger.promise(at(0), &large, &IDLE).1, ms(200));
}

#[test]
fn p17_waits_count_the_queue_and_what_is_left_of_what_runs() {
    let config = Config::default();
    let mut fresh = Ledger::new(&config);
    fresh.promise(at(0), &probe(KIND), &IDLE);
    let running = |elapsed| [Running { kind: KIND, size: Size::MEAN, elapsed }];
    let wait = |queued: &[(Kind, u64)], running: &[Running], slots| {
        fresh.clone().promise(at(1), &probe(KIND), &Backlog { queued, running, slots }).0
    };
    assert_eq!(wait(&[], &[], 1), ms(0));
    assert_eq!(wait(&[], &running(ms(0)), 1), ms(100));
    assert_eq!(wait(&[], &running(ms(100)), 1), ms(50));
    // 100 x 100 / 400 is below 0.3 x 100; and half of what it is over.
    assert_eq!(wait(&[], &running(ms(300)), 1), ms(130));
    assert_eq!(wait(&[(KIND, 3 << 16)], &running(ms(0)), 1), ms(400));
    assert_eq!(wait(&[(KIND, 3 << 16)], &running(ms(0)), 2), ms(200));
    assert_eq!(wait(&[], &running(ms(0)), 2), ms(0), "a free slot");
}

#[test]
fn p17_promises_reserve_for_two_round_trips() {
    let mut ledger = Ledger::new(&Config::default());
    let waits: Vec<Duration> =
        (0..500).map(|_| ledger.promise(at(0), &probe(KIND), &IDLE).0).collect();
    assert_eq!((waits[0], waits[1], waits[499]), (ms(0), ms(20), ms(499 * 20)));
    let later = at(0) + ms(2);
    assert_eq!(ledger.promise(later, &probe(KIND), &IDLE).0, ms(0), "nobody came");
}

/// A re-executed task comes without a probe.
#[test]
fn a_kind_that_nobody_probed_for_says_nothing_about_others() {
    let mut ledger = Ledger::new(&Config::default());
    served(&mut ledger, Kind(8), 0..20, ms(5_000));
    let (_, service) = ledger.promise(at(20), &probe(KIND), &IDLE);
    assert!(service > ms(99) && service <= ms(100), "{service:?}");
}

/// Ten of the prober's means more each, as at the owner.
#[test]
fn who_fails_at_once_does_not_promise_to_be_fast() {
    let mut ledger = Ledger::new(&Config::default());
    let _ = ledger.promise(at(0), &probe(KIND), &IDLE);
    (1..=20).for_each(|second| ledger.failed(at(second), KIND, Size::MEAN, ms(1)));
    let (_, service) = ledger.promise(at(20), &probe(KIND), &IDLE);
    assert!(service > ms(800), "{service:?}");
}
