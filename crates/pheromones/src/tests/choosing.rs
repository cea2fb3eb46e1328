//! P1 to P8, P13, P14.

use formic_core::Digest;

use super::harness::{Harness, KIND, key, life, ms, peer};
use crate::{Affinity, Config, Effect, Error, Event, Finding, Input, Kind, Latency, Placed, Size};

fn one(candidates: usize) -> Config {
    Config { candidates, ..Config::default() }
}

#[test]
fn p1_the_prior_is_better_than_the_mean_and_experience_replaces_it() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    assert_eq!(harness.trail(1).service_us, 70_000);
    harness.serve(2, ms(100));
    // (100 + 0.7 x 100) / 2.
    let trail = harness.trail(2);
    assert!((84_900..=85_100).contains(&trail.service_us), "{trail:?}");
}

#[test]
fn p1_ten_uses_at_half_the_mean_beat_two() {
    // The mean stays 100 ms: a third peer keeps it there.
    let mut harness = Harness::expecting(Config::default(), ms(100));
    for _ in 0..30 {
        harness.serve(3, ms(100));
    }
    for _ in 0..10 {
        harness.serve(1, ms(50));
    }
    for _ in 0..2 {
        harness.serve(2, ms(50));
    }
    let (ten, two) = (harness.trail(1).service_us, harness.trail(2).service_us);
    assert!(ten < two, "{ten} {two}");
    let draws = harness.draws(&[1, 2], 1);
    assert_eq!(draws, [1, 1], "both are asked; the weights tell them apart");
    let choice = harness.machine.explain(key(0)).unwrap();
    let weight = |n| choice.candidates.iter().find(|it| it.life == life(n)).unwrap().weight_ppm;
    assert!(weight(1) > weight(2));
}

#[test]
fn p2_bad_results_lower_quality_within_its_bounds() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    assert!((949_990..=950_000).contains(&harness.trail(1).quality_ppm));
    for _ in 0..200 {
        harness.judged(1, ms(10), Finding::Bad);
        harness.judged(2, ms(10), Finding::Good);
    }
    assert!((19_999..=20_000).contains(&harness.trail(1).quality_ppm), "the least");
    assert!((990_000..=1_000_000).contains(&harness.trail(2).quality_ppm));
}

#[test]
fn p3_promises_count_only_once_they_are_clearly_broken() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    for n in 0..40 {
        for (n_peer, late) in [(1, 35), (2, 300)] {
            harness.send(key(n), n_peer.into(), n_peer, ms(10));
            harness.wait(ms(late));
            let input = Input::Finished {
                key: key(n),
                attempt: n_peer.into(),
                life: life(n_peer),
                service: ms(10),
                latency: Latency::Counts,
            };
            harness.feed(input).unwrap();
        }
    }
    assert_eq!(harness.trail(1).honesty_permille, 1_000, "3.5 x is a straggler");
    assert!(harness.trail(2).honesty_permille >= 4_000, "{:?}", harness.trail(2));
}

#[test]
fn p4_tried_peers_come_last_and_nobody_is_said() {
    let mut harness = Harness::expecting(one(5), ms(10));
    assert_eq!(harness.choose(key(1), &[1, 2, 3], &[2]).len(), 2);
    assert_eq!(harness.choose(key(2), &[2], &[2]), [life(2)], "nobody else is left");
    assert_eq!(harness.choose(key(3), &[], &[]), []);
    let nobody = Event::Chosen { key: key(3), place: None };
    assert_eq!(harness.out, [Effect::Event(nobody)]);
}

#[test]
fn p5_draws_five_and_eight_of_many_each_once() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    let few: Vec<u8> = (1..=16).collect();
    let many: Vec<u8> = (1..=17).collect();
    for (eligible, expected) in [(&few, 5), (&many, 8)] {
        let mut lives = harness.choose(key(1), eligible, &[]);
        lives.sort_unstable();
        lives.dedup();
        assert_eq!(lives.len(), expected);
    }
}

#[test]
fn p5_fast_and_idle_peers_are_asked_more_often_and_slow_ones_sometimes() {
    let mut harness = Harness::expecting(one(1), ms(100));
    for _ in 0..20 {
        harness.serve(1, ms(20));
        harness.serve(2, ms(400));
    }
    let draws = harness.draws(&[1, 2], 5_000);
    // The floor: 0.02 of 1.02, 98 of 5,000.
    assert!((60..=150).contains(&draws[1]), "{draws:?}");
    harness.feed(Input::Load { peer: peer(1), queued: ms(10_000) }).unwrap();
    let busy = harness.draws(&[1, 2], 5_000);
    assert!(busy[0] < draws[0], "{busy:?}");
}

#[test]
fn p7_work_stays_with_its_specialist() {
    // A generalist serves this in 50 ms, idle; the specialist in 10 ms, after 60 ms.
    let (generalist, specialist) = ((1, 0, 50), (2, 60, 10));
    for (affinity, winner) in [(Affinity::Half, 2), (Affinity::Full, 2), (Affinity::None, 1)] {
        let mut harness = Harness::expecting(Config { affinity, ..Config::default() }, ms(50));
        harness.choose(key(1), &[1, 2], &[]);
        let place = harness.rank(key(1), &[generalist, specialist]).unwrap();
        assert_eq!(place.life, life(winner), "{affinity:?}");
    }
}

#[test]
fn p7_own_awards_that_a_promise_cannot_have_seen_count() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.choose(key(1), &[1, 2], &[]);
    harness.wait(ms(1));
    harness.send(key(2), 1, 1, ms(100));
    let place = harness.rank(key(1), &[(1, 0, 100), (2, 50, 100)]);
    let expected = Placed { life: life(2), promised: ms(150), service: ms(100) };
    assert_eq!(place, Some(expected));
    // What was sent before the question is in the answer.
    harness.wait(ms(1));
    harness.choose(key(3), &[1, 2], &[]);
    assert_eq!(harness.rank(key(3), &[(1, 0, 100), (2, 50, 100)]).unwrap().life, life(1));
}

#[test]
fn p8_ties_go_by_hash_and_strangers_are_passed_over() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    let mut winners = Vec::new();
    for n in 0..20 {
        harness.choose(key(n), &[1, 2], &[]);
        let promises = [(1, 0, 10), (2, 0, 10), (9, 0, 1)];
        let winner = harness.rank(key(n), &promises).unwrap().life.peer;
        let hash = |n_peer: u8| Digest::of(&[key(n).as_bytes(), peer(n_peer).as_bytes()]);
        assert_eq!(winner, if hash(1) < hash(2) { peer(1) } else { peer(2) });
        winners.push(winner);
    }
    assert!(winners.contains(&peer(1)) && winners.contains(&peer(2)));
    assert_eq!(harness.machine.counters().promises_unasked, 20);
}

#[test]
fn p13_a_quarantined_peer_is_chosen_only_if_all_are_and_is_released() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    harness.out.clear();
    for _ in 0..4 {
        harness.judged(1, ms(10), Finding::Bad);
    }
    let events = |harness: &Harness, event: &Event| {
        harness.out.iter().filter(|it| **it == Effect::Event(event.clone())).count()
    };
    let (kind, peer) = (KIND, peer(1));
    assert_eq!(events(&harness, &Event::Quarantined { kind, peer }), 1);
    harness.choose(key(1), &[1, 2], &[]);
    let place = harness.rank(key(1), &[(1, 0, 1), (2, 5_000, 1_000)]);
    assert_eq!(place.unwrap().life, life(2));
    harness.choose(key(2), &[1], &[]);
    assert_eq!(harness.rank(key(2), &[(1, 0, 1)]).unwrap().life, life(1));
    // All bad: released once qn is below 1.8.
    harness.idle(ms(600_000));
    harness.choose(key(3), &[1, 2], &[]);
    assert_eq!(events(&harness, &Event::Released { kind, peer }), 1);
    assert!(harness.trail(1).verified < 118_000);
}

#[test]
fn p13_without_a_gate_quality_alone_decides() {
    let config = Config { quality_gate_permille: 0, ..Config::default() };
    let mut harness = Harness::expecting(config, ms(10));
    for _ in 0..4 {
        harness.judged(1, ms(10), Finding::Bad);
    }
    harness.choose(key(1), &[1, 2], &[]);
    let place = harness.rank(key(1), &[(1, 0, 1), (2, 5_000, 1_000)]);
    assert_eq!(place.unwrap().life, life(1), "fast enough to try again");
}

#[test]
fn p14_where_little_is_verified_nobody_gets_most_of_it() {
    let mut harness = Harness::expecting(one(1), ms(1));
    for _ in 0..60 {
        harness.serve(1, ms(1)); // Nothing of it is verified.
    }
    assert_eq!(harness.choose(key(1), &[1, 2, 3], &[]).len(), 1);
    assert_ne!(harness.draws(&[1, 2, 3], 100)[0], 0, "where nobody verifies there is no cap");
    harness.judged(2, ms(1), Finding::Good);
    assert_eq!(harness.choose(key(1), &[1, 2, 3], &[]).len(), 1);
    for n in 0..200 {
        assert_ne!(harness.choose(key(n), &[1, 2, 3], &[]), [life(1)], "it had its share");
    }
    assert_eq!(harness.choose(key(1), &[1], &[]), [life(1)], "nobody else is left");
    harness.wait(ms(10_001));
    assert_ne!(harness.draws(&[1, 2, 3], 100)[0], 0, "ten seconds later it may");
}

#[test]
fn p14_where_results_are_verified_there_is_no_cap() {
    let mut harness = Harness::expecting(one(1), ms(1));
    for _ in 0..60 {
        harness.judged(1, ms(1), Finding::Good);
    }
    assert_ne!(harness.draws(&[1, 2, 3], 100)[0], 0);
}

#[test]
fn sizes_scale_what_is_promised_and_are_taken_out_of_what_is_learned() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    let size = Size::new(4 << 16).unwrap();
    let input =
        Input::Choose { key: key(1), kind: KIND, size, eligible: vec![life(1)], tried: vec![] };
    harness.feed(input).unwrap();
    let asked = harness.out.iter().any(|effect| {
        matches!(effect, Effect::Event(Event::Candidates { mean, .. }) if *mean == ms(400))
    });
    assert!(asked);
    let award =
        crate::Award { life: life(1), kind: KIND, size, promised: ms(400), service: ms(400) };
    harness.feed(Input::Sent { key: key(1), attempt: 1, award }).unwrap();
    harness.wait(ms(400));
    harness.finish(key(1), 1, ms(400)).unwrap();
    assert_eq!(harness.machine.mean(KIND), ms(100));
    for parts in [0, 4_095, (1 << 20) + 1] {
        assert_eq!(Size::new(parts), Err(Error::Size { parts }));
    }
}

#[test]
fn explain_shows_what_decided_and_forgets_after_1024() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    harness.choose(key(0), &[1, 2], &[]);
    harness.rank(key(0), &[(1, 0, 10), (2, 90, 10)]);
    let choice = harness.machine.explain(key(0)).unwrap();
    assert_eq!(choice.chosen, Some(life(1)));
    let scores: Vec<_> = choice.candidates.iter().map(|it| it.score.unwrap()).collect();
    assert_eq!(scores.len(), 2);
    let best = choice.candidates.iter().min_by_key(|it| it.score).unwrap();
    assert_eq!((best.life, best.promise_us), (life(1), Some((0, 10_000))));
    (1..=1_024).for_each(|n| drop(harness.choose(key(n), &[1], &[])));
    assert_eq!(harness.machine.explain(key(0)), None);
    let input = Input::Rank { key: key(0), promises: vec![] };
    assert_eq!(harness.feed(input), Err(Error::UnknownTask { key: key(0) }));
}

#[test]
fn half_lives_follow_the_mean_service() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    assert_eq!(harness.machine.half_life(KIND), Some(ms(30_000)));
    harness.feed(Input::Expect { kind: KIND, mean: ms(1_000) }).unwrap();
    assert_eq!(harness.machine.half_life(KIND), Some(ms(480_000)));
    assert_eq!(harness.machine.half_life(Kind(8)), None);
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let mut harness = Harness::expecting(Config::default(), ms(10));
    for eligible in [vec![life(2), life(1)], vec![life(1), life(1)]] {
        let (key, kind, size) = (key(1), KIND, Size::MEAN);
        let input = Input::Choose { key, kind, size, eligible, tried: vec![] };
        assert_eq!(harness.feed(input), Err(Error::Unsorted));
    }
    let last = harness.now;
    harness.now = formic_core::Time::ZERO;
    let refused = harness.feed(Input::Deadline);
    assert_eq!(refused, Err(Error::ClockWentBack { last, now: harness.now }));
    let promise = crate::Promise::new(life(1), ms(0), ms(0));
    let (wait_us, service_us) = (0, 0);
    assert_eq!(promise, Err(Error::BadPromise { from: life(1), wait_us, service_us }));
    let broken = Config { candidates: 0, ..Config::default() };
    let (low, high) = (1, 16);
    let expected = Error::Config { field: "candidates", value: 0, low, high };
    let random = formic_core::Random::new(1);
    assert_eq!(crate::Pheromones::new(broken, life(0), random).unwrap_err(), expected);
    assert!(size_of::<Error>() < 128);
}
