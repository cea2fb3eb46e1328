//! Batches: W5 and W6.

use core::time::Duration;

use formic_core::{Life, Protocol, Random, Time};

use super::harness::{Harness, KIND, key, life, ms};
use crate::{
    Config, Effect, Error, Event, Input, Offer, Pheromones, Placed, Promise, Size, WhenFull,
};

/// Wait and service in ms, room, slots, free.
type Given = (u8, u64, u64, u32, (u32, u32));

fn offer((n, wait, service, room, (slots, free)): Given) -> Offer {
    let promise = Promise::new(life(n), ms(wait), ms(service)).unwrap();
    Offer { promise, room, slots, free }
}

fn spread(
    harness: &mut Harness,
    (count, hold): (u32, Duration),
    when_full: WhenFull,
    given: &[Given],
) -> (Vec<u8>, Vec<(Life, Duration)>) {
    let offers = given.iter().copied().map(offer).collect();
    harness.out.clear();
    let input = Input::Spread { key: key(1), count, hold, when_full, offers };
    harness.feed(input).unwrap();
    let told = harness.out.drain(..).find_map(|effect| match effect {
        Effect::Event(Event::Spread { places, waits, .. }) => Some((places, waits)),
        _ => None,
    });
    let (places, waits) = told.unwrap();
    let who = |place: &Placed| place.life.peer.as_bytes()[0];
    (places.iter().map(who).collect(), waits)
}

fn chosen_for(eligible: &[u8]) -> Harness {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.choose(key(1), eligible, &[]);
    harness
}

fn count(places: &[u8], n: u8) -> usize {
    places.iter().filter(|place| **place == n).count()
}

#[test]
fn each_award_makes_the_next_wait() {
    let mut harness = chosen_for(&[1, 2]);
    let given = [(1, 0, 100, 99, (1, 1)), (2, 0, 100, 99, (1, 1))];
    let (places, waits) = spread(&mut harness, (6, ms(10_000)), WhenFull::Wait, &given);
    assert_eq!((count(&places, 1), count(&places, 2)), (3, 3));
    assert!(waits.iter().all(|(_, wait)| *wait == ms(300)), "{waits:?}");
}

#[test]
fn free_slots_are_filled_before_anybody_waits() {
    let mut harness = chosen_for(&[1, 2]);
    let given = [(1, 0, 100, 99, (4, 4)), (2, 0, 100, 99, (1, 1))];
    let (places, _) = spread(&mut harness, (10, ms(10_000)), WhenFull::Wait, &given);
    assert_eq!((count(&places, 1), count(&places, 2)), (8, 2), "four to one");
}

/// W5: ten times as slow is slower than a queue of four.
#[test]
fn a_specialist_with_a_queue_is_waited_for() {
    let mut harness = chosen_for(&[1, 2]);
    let given = [(1, 0, 100, 99, (1, 1)), (2, 0, 1_000, 99, (1, 1))];
    let (places, waits) = spread(&mut harness, (20, ms(400)), WhenFull::Wait, &given);
    assert_eq!(places, [1, 1, 1, 1, 1], "none beyond the hold, none to the slow one");
    assert!(waits.contains(&(life(1), ms(500))) && waits.contains(&(life(2), ms(0))));
}

#[test]
fn who_has_no_room_is_waited_for_or_passed_over() {
    let given = [(1, 0, 100, 0, (1, 1)), (2, 0, 1_000, 9, (1, 1))];
    let waits = spread(&mut chosen_for(&[1, 2]), (2, ms(400)), WhenFull::Wait, &given);
    assert_eq!(waits.0, []);
    let passed = spread(&mut chosen_for(&[1, 2]), (1, ms(400)), WhenFull::Next, &given);
    assert_eq!(passed.0, [2]);
}

#[test]
fn room_is_taken_from_candidates_only_and_remembered_promises_have_none() {
    let mut harness = chosen_for(&[1]);
    let given = [(1, 300, 100, 9, (1, 0)), (2, 0, 100, 9, (1, 1)), (3, 900, 100, 0, (1, 0))];
    let (places, waits) = spread(&mut harness, (2, ms(400)), WhenFull::Wait, &given);
    assert_eq!(places, [1, 1]);
    assert_eq!(harness.machine.counters().promises_unasked, 1);
    assert!(waits.iter().all(|(at, _)| *at != life(2)), "it was not asked");
    assert!(waits.contains(&(life(3), ms(900))));
}

#[test]
fn a_batch_is_spread_once() {
    let mut harness = chosen_for(&[1]);
    let given = [(1, 0, 100, 9, (1, 1))];
    spread(&mut harness, (1, ms(400)), WhenFull::Wait, &given);
    let (hold, when_full, offers) = (ms(400), WhenFull::Wait, vec![offer(given[0])]);
    let again = Input::Spread { key: key(1), count: 1, hold, when_full, offers };
    assert_eq!(harness.feed(again), Err(Error::UnknownTask { key: key(1) }));
}

/// Where asking costs as much as doing: oneself, which costs no message, and one other.
#[test]
fn brief_kinds_ask_themselves_and_one_other() {
    let mut machine = Pheromones::new(Config::default(), life(3), Random::new(1)).unwrap();
    let mut asked = |mean: Duration, eligible: &[u8]| {
        let mut out = Vec::new();
        machine.handle(Time::ZERO, Input::Expect { kind: KIND, mean }, &mut out).unwrap();
        let eligible = eligible.iter().copied().map(life).collect();
        let (size, tried) = (Size::MEAN, vec![]);
        let choose = Input::Choose { key: key(1), kind: KIND, size, eligible, tried };
        machine.handle(Time::ZERO, choose, &mut out).unwrap();
        out.into_iter().find_map(|effect| match effect {
            Effect::Event(Event::Candidates { lives, .. }) => Some(lives),
            _ => None,
        })
    };
    for _ in 0..20 {
        let lives = asked(ms(19), &[1, 2, 3, 4, 5, 6]).unwrap();
        assert!(lives.contains(&life(3)) && lives.len() <= 2, "{lives:?}");
    }
    assert_eq!(asked(ms(19), &[1, 2, 4]).unwrap().len(), 2);
    assert_eq!(asked(ms(21), &[1, 2, 3, 4, 5, 6]).unwrap().len(), 5);
}
