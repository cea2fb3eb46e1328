//! P9 to P12: what deposits, and what does not.

use formic_core::{Incarnation, Life, Protocol};

use super::harness::{Harness, KIND, key, life, ms, peer};
use crate::{Award, Config, Effect, Error, Event, Finding, Input, Kind, Latency, Size, Turn, Word};

fn unsolicited(n: u64, from: Life) -> Result<(), Error> {
    Err(Error::Unsolicited { from, key: key(n), attempt: 1 })
}

#[test]
fn p9_a_completion_touches_exactly_one_trail() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    let other = Kind(8);
    harness.feed(Input::Expect { kind: other, mean: ms(100) }).unwrap();
    for n in 1..=3 {
        harness.serve(n, ms(100));
    }
    let counts = |harness: &Harness| -> Vec<u64> {
        let kinds = [KIND, other].into_iter();
        let pairs = kinds.flat_map(|kind| (1..=3).map(move |n| (kind, n)));
        pairs.map(|(kind, n)| harness.machine.trail(kind, peer(n), harness.now).count).collect()
    };
    harness.send(key(1), 1, 2, ms(100));
    let before = counts(&harness);
    harness.finish(key(1), 2, ms(100)).unwrap();
    let after = counts(&harness);
    let touched: Vec<usize> = (0..6).filter(|at| before[*at] != after[*at]).collect();
    assert_eq!(touched, [1]);
    assert_eq!(after[1] - before[1], 1 << 16);
}

#[test]
fn p9_only_what_was_sent_to_this_very_life_deposits_and_once() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    assert_eq!(harness.finish(key(1), 1, ms(5)), unsolicited(1, life(1)), "never sent");
    harness.send(key(1), 1, 1, ms(100));
    assert_eq!(harness.finish(key(1), 2, ms(5)), unsolicited(1, life(2)), "sent to another");
    let reborn = Life::new(peer(1), Incarnation(2));
    let (service, latency) = (ms(5), Latency::Counts);
    let input = Input::Finished { key: key(1), attempt: 1, life: reborn, service, latency };
    assert_eq!(harness.feed(input), unsolicited(1, reborn), "sent to an earlier life");
    harness.wait(ms(100));
    assert_eq!(harness.finish(key(1), 1, ms(100)), Ok(()));
    assert_eq!(harness.finish(key(1), 1, ms(100)), unsolicited(1, life(1)), "twice");
    let award =
        Award { life: life(1), kind: KIND, size: Size::MEAN, promised: ms(1), service: ms(1) };
    harness.send(key(2), 1, 1, ms(100));
    let again = harness.feed(Input::Sent { key: key(2), attempt: 1, award });
    assert_eq!(again, Err(Error::SentTwice { key: key(2), attempt: 1 }));
    // A worker gave it back: the same attempt goes elsewhere.
    harness.feed(Input::Cancelled { key: key(2), attempt: 1 }).unwrap();
    harness.send(key(2), 1, 2, ms(100));
    let moved = unsolicited(2, life(1));
    assert_eq!(harness.finish(key(2), 1, ms(5)), moved, "it was moved");
    assert_eq!(harness.finish(key(2), 2, ms(5)), Ok(()));
}

#[test]
fn p9_a_false_service_counts_as_no_more_than_my_clock_saw() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.send(key(1), 1, 1, ms(100));
    harness.wait(ms(50));
    harness.finish(key(1), 1, ms(9_000)).unwrap();
    // (50 + 0.7 x 50) / 2: the mean is this one sample.
    assert!((42_400..=42_600).contains(&harness.trail(1).service_us), "{:?}", harness.trail(1));
}

#[test]
fn p10_a_replayed_verdict_deposits_once() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    let done = harness.serve(1, ms(100));
    assert_eq!(harness.verify(done, 1, Finding::Good), Ok(()));
    let trail = harness.trail(1);
    for finding in [Finding::Good, Finding::Bad] {
        let refused = harness.verify(done, 1, finding);
        assert!(matches!(refused, Err(Error::Unsolicited { .. })), "{refused:?}");
    }
    assert_eq!(harness.trail(1), trail);
    assert_eq!((trail.verified, trail.good), (1 << 16, 1 << 16));
}

#[test]
fn p10_verdicts_need_a_finished_attempt_of_that_life() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.send(key(1), 1, 1, ms(100));
    assert_eq!(harness.verify(key(1), 1, Finding::Bad), unsolicited(1, life(1)), "still open");
    harness.wait(ms(100));
    harness.finish(key(1), 1, ms(100)).unwrap();
    assert_eq!(harness.verify(key(1), 2, Finding::Bad), unsolicited(1, life(2)), "another's");
    assert_eq!(harness.verify(key(1), 1, Finding::Bad), Ok(()));
}

#[test]
fn p11_overdue_is_said_once_and_remembered() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.send(key(1), 1, 1, ms(50));
    // 4 x 50 + 100.
    let due = harness.now + ms(300);
    assert_eq!(harness.machine.deadline(), Some(due));
    harness.out.clear();
    harness.idle(ms(299));
    assert_eq!(harness.out, []);
    harness.idle(ms(10_000));
    let [Effect::Event(Event::Overdue { key: name, attempt: 1, life: by, word })] =
        &harness.out[..]
    else {
        unreachable!("one event: {:?}", harness.out)
    };
    // (300 + 10 x 100 + 100) / (50 + 100).
    assert_eq!((*name, *by, *word), (key(1), life(1), Word::Broken));
    assert!(harness.trail(1).honesty_permille > 4_000);
    assert_eq!(harness.trail(1).count, 0, "no deposit of speed");
    assert_eq!(harness.finish(key(1), 1, ms(50)), Ok(()), "late is not never");
}

#[test]
fn p11_the_clock_stands_while_a_body_waits() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    let turn = |turn| Input::Slot { key: key(1), attempt: 1, life: life(1), turn };
    harness.send(key(1), 1, 1, ms(50));
    harness.wait(ms(50));
    harness.feed(turn(Turn::Waits)).unwrap();
    assert_eq!(harness.machine.deadline(), None, "it waits for others");
    harness.wait(ms(60_000));
    harness.feed(turn(Turn::Runs)).unwrap();
    assert_eq!(harness.machine.deadline(), Some(harness.now + ms(250)));
    harness.wait(ms(50));
    harness.finish(key(1), 1, ms(100)).unwrap();
    assert_eq!(harness.trail(1).honesty_permille, 1_000, "100 ms with a slot");
    let input = turn(Turn::Waits);
    assert_eq!(harness.feed(input), unsolicited(1, life(1)));
}

#[test]
fn p12_the_lost_and_the_unwanted_leave_no_trail() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.send(key(1), 1, 1, ms(100));
    harness.send(key(2), 1, 1, ms(100));
    harness.wait(ms(20));
    harness.feed(Input::Cancelled { key: key(1), attempt: 1 }).unwrap();
    harness.feed(Input::Down { life: Life::new(peer(1), Incarnation(2)) }).unwrap();
    harness.feed(Input::Down { life: life(1) }).unwrap();
    for n in [1, 2] {
        assert_eq!(harness.finish(key(n), 1, ms(5)), unsolicited(n, life(1)));
        assert_eq!(harness.verify(key(n), 1, Finding::Bad), unsolicited(n, life(1)));
    }
    assert_eq!((harness.trail(1).count, harness.trail(1).verified), (0, 0));
    assert_eq!(harness.machine.deadline(), None, "nothing is open (T9)");
}

#[test]
fn p12_another_life_of_the_dead_goes_on() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.send(key(1), 1, 1, ms(100));
    harness.feed(Input::Down { life: Life::new(peer(1), Incarnation(9)) }).unwrap();
    harness.wait(ms(100));
    assert_eq!(harness.finish(key(1), 1, ms(100)), Ok(()));
}

#[test]
fn attempts_are_bounded_and_the_oldest_go_first() {
    let config = Config { trails_max: 64, ..Config::default() };
    let mut harness = Harness::expecting(config, ms(100));
    (0..65).for_each(|n| harness.send(key(n), 1, 1, ms(100)));
    harness.wait(ms(100));
    assert_eq!(harness.finish(key(0), 1, ms(100)), unsolicited(0, life(1)));
    assert_eq!(harness.finish(key(1), 1, ms(100)), Ok(()));
}

#[test]
fn trails_and_kinds_are_bounded_and_the_oldest_go_first() {
    let config = Config { trails_max: 64, kinds_max: 2, ..Config::default() };
    let mut harness = Harness::expecting(config, ms(1));
    for n in 1..=70 {
        harness.serve(n, ms(1));
        harness.wait(ms(1_000));
    }
    assert_eq!(harness.trail(1).count, 0);
    assert!(harness.trail(70).count > 0);
    harness.feed(Input::Expect { kind: Kind(8), mean: ms(1) }).unwrap();
    harness.feed(Input::Expect { kind: Kind(9), mean: ms(1) }).unwrap();
    assert_eq!(harness.trail(70).count, 0, "its kind was used least recently");
}

/// A peer that fails at once must not look fast, and nobody has verified anything.
#[test]
fn a_failure_counts_as_slow_and_changes_nothing_else() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    harness.serve(1, ms(10));
    let (before, mean) = (harness.trail(1), harness.machine.mean(KIND));
    harness.send(key(1), 1, 1, ms(10));
    harness.wait(ms(1));
    harness.feed(Input::Failed { key: key(1), attempt: 1, life: life(1) }).unwrap();
    let after = harness.trail(1);
    // 10, 101 and 0.7 means of 10 ms, by three.
    assert!(after.service_us > 36_000 && after.service_us < 40_000, "{after:?}");
    assert_eq!(harness.machine.mean(KIND), mean);
    assert_eq!(
        (after.verified, after.honesty_permille),
        (before.verified, before.honesty_permille)
    );
    let again = Input::Failed { key: key(1), attempt: 1, life: life(1) };
    assert!(harness.feed(again).is_err(), "once");
}

#[test]
fn what_a_body_spawned_does_not_make_it_late() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    for n in 0..40 {
        harness.send(key(n), 1, 1, ms(10));
        harness.idle(ms(300));
        let (service, latency) = (ms(10), Latency::HadChildren);
        let input = Input::Finished { key: key(n), attempt: 1, life: life(1), service, latency };
        harness.feed(input).unwrap();
    }
    let overdue = harness.trail(1).honesty_permille;
    assert!(overdue > 1_000, "the clock of an overdue one went on: its owner was not told");
    let mut told = Harness::expecting(Config::default(), ms(10));
    for n in 0..40 {
        told.send(key(n), 1, 1, ms(10));
        told.feed(Input::Slot { key: key(n), attempt: 1, life: life(1), turn: Turn::Waits })
            .unwrap();
        told.idle(ms(300));
        let (service, latency) = (ms(10), Latency::HadChildren);
        let input = Input::Finished { key: key(n), attempt: 1, life: life(1), service, latency };
        told.feed(input).unwrap();
    }
    assert_eq!(told.trail(1).honesty_permille, 1_000);
    assert!(told.trail(1).service_us >= 9_000, "its service counts: {:?}", told.trail(1));
}
