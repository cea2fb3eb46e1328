//! T1 to T10.

use core::time::Duration;

use formic_core::{Protocol, Time};
use proptest::prelude::*;

use super::harness::{Harness, KIND, key, life, ms, peer, record, view};
use crate::{
    Config, Finding, Input, Latency, Record, Size,
    clock::HalfLives,
    heard::trimmed,
    trails::{Fade, Sums, Trails},
};

const FACTOR: u32 = 10;

fn half(x: f64) -> f64 {
    (-x * core::f64::consts::LN_2).exp_m1() + 1.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// "Exact at every read to 1 unit": against floating point, and in whatever steps it is read.
    #[test]
    fn t2_lazy_decay_is_eager_decay(
        count in 0_u64..1 << 40,
        steps in prop::collection::vec(0_u64..40_000_000, 1..12),
    ) {
        let clock = HalfLives::new(30_000_000);
        let start = Sums { count, service: count, verified: count, good: count / 2 };
        let mut lazy = Trails::default();
        *lazy.touch(3, (Time::ZERO, 0), FACTOR) = start;
        let mut eager = lazy.clone();
        let mut now = Time::ZERO;
        for step in &steps {
            now = now + Duration::from_micros(*step);
            eager.touch(3, (now, clock.at(now)), FACTOR);
            let (a, b) = (lazy.read(3, clock.at(now), FACTOR), eager.read(3, clock.at(now), FACTOR));
            prop_assert_eq!(a, lazy.read(3, clock.at(now), FACTOR));
            // Each touch rounds by one unit, and its age by 2^-32 half-lives.
            for (a, b) in [(a.count, b.count), (a.verified, b.verified), (a.good, b.good)] {
                let allowed = (steps.len() as u64) * (1 + (count >> 32));
                prop_assert!(a.abs_diff(b) <= allowed, "{} {}", a, b);
            }
            let exact = count as f64 * half(now.as_us() as f64 / 30e6);
            // To one unit up to 65,536 samples, where the age's last bit begins to show.
            prop_assert!((a.count as f64 - exact).abs() <= 1.0 + exact * 3e-10, "{} {exact}", a.count);
            let exact = count as f64 * half(now.as_us() as f64 / 300e6);
            prop_assert!((a.verified as f64 - exact).abs() <= 1.0 + exact * 3e-10);
        }
    }

    #[test]
    fn t2_two_steps_are_one(count in 0_u64..1 << 40, a in 0_u64..1 << 36, b in 0_u64..1 << 36) {
        let sums = Sums { count, service: count, verified: count, good: count };
        let once = sums.faded(Fade::after(a + b, FACTOR));
        let twice = sums.faded(Fade::after(a, FACTOR)).faded(Fade::after(b, FACTOR));
        // Ages are divided by ten and rounded for quality: a unit more.
        prop_assert!(once.count.abs_diff(twice.count) <= 1, "{once:?} {twice:?}");
        prop_assert!(once.verified.abs_diff(twice.verified) <= 1 + (count >> 32), "{once:?} {twice:?}");
    }

    /// The half-life changes: what is past stays past.
    #[test]
    fn half_lives_are_counted_across_changes(spans in prop::collection::vec(1_u64..100_000_000, 2..6)) {
        let mut clock = HalfLives::new(30_000_000);
        let (mut now, mut expected) = (Time::ZERO, 0.0);
        for (number, span) in spans.iter().enumerate() {
            let us = 30_000_000 << number;
            clock.set(now, us);
            now = now + Duration::from_micros(*span);
            expected += *span as f64 / us as f64;
            let counted = clock.at(now) as f64 / (1_u64 << 32) as f64;
            prop_assert!((counted - expected).abs() < 1e-8, "{} {}", counted, expected);
        }
    }

    /// T1, T3, T10 and all invariants, whatever comes in whatever order.
    #[test]
    fn t3_nothing_but_deposits_and_decay_moves_own_trails(
        inputs in prop::collection::vec((0_u8..9, 0_u64..12, 1_u8..6, 0_u64..3_000), 1..120),
    ) {
        let mut harness = Harness::expecting(Config::default(), ms(50));
        harness.feed(Input::View(view(6))).unwrap();
        let mut seq = 0;
        for (what, task, n, wait) in inputs {
            harness.wait(ms(wait));
            let before = harness.trail(n);
            let (key, attempt, life) = (key(task), 1, life(n));
            let deposit = match what {
                0 => { harness.choose(key, &[1, 2, 3, 4, 5], &[n]); false }
                1 => {
                    let award = crate::Award {
                        life, kind: KIND, size: Size::MEAN, promised: ms(50), service: ms(50),
                    };
                    let _ = harness.feed(Input::Sent { key, attempt, award });
                    false
                }
                2 => {
                    let service = ms(wait + 1);
                    harness.feed(Input::Finished { key, attempt, life, service, latency: Latency::Counts }).is_ok()
                }
                3 => harness.verify(key, n, Finding::Good).is_ok(),
                4 => harness.verify(key, n, Finding::Bad).is_ok(),
                5 => { harness.feed(Input::Cancelled { key, attempt }).unwrap(); false }
                6 => { harness.feed(Input::Down { life }).unwrap(); false }
                7 => {
                    seq += 1;
                    // One voice among five members is below the cut.
                    let subject = 1 + n % 5;
                    let _ = harness.hear(n, seq, vec![record(subject, wait + 1)]);
                    false
                }
                _ => { harness.idle(ms(100)); false }
            };
            let after = harness.trail(n);
            if !deposit {
                prop_assert!(after.count <= before.count && after.verified <= before.verified
                    || what == 7, "{what} {before:?} {after:?}");
            }
            prop_assert!(after.good <= after.verified);
        }
    }

    /// T4: with as many liars as the cut allows for, the mean lies between those of honest sources.
    #[test]
    fn t4_the_trimmed_mean_lies_among_the_honest(
        honest in prop::collection::vec(1_000_u64..1_000_000, 5..20),
        lies in prop::collection::vec(1_u64..1 << 40, 0..4),
    ) {
        let cut = 4 * lies.len().max(1) as u64;
        let mut voices: Vec<(u64, u64)> =
            honest.iter().chain(&lies).map(|mean| (*mean, 4)).collect();
        if let Some((mean, _)) = trimmed(&mut voices, cut) {
            let (low, high) = (honest.iter().min().unwrap(), honest.iter().max().unwrap());
            prop_assert!((low..=high).contains(&&mean), "{mean} of {honest:?} and {lies:?}");
        }
    }

    /// G5 is a naive reading's, whatever the order.
    #[test]
    fn g5_trimming_is_what_a_list_of_units_says(
        mut voices in prop::collection::vec((1_u64..100, 0_u64..6), 0..20),
        cut in 0_u64..20,
    ) {
        let mut units: Vec<u64> =
            voices.iter().flat_map(|(value, weight)| vec![*value; *weight as usize]).collect();
        units.sort_unstable();
        let left = units.len() as u64;
        let expected = (left > 2 * cut).then(|| {
            let kept = &units[cut as usize..(left - cut) as usize];
            (kept.iter().sum::<u64>() / kept.len() as u64, kept.len() as u64)
        });
        prop_assert_eq!(trimmed(&mut voices, cut), expected);
        voices.reverse();
        prop_assert_eq!(trimmed(&mut voices, cut), expected);
    }

    /// T7: one source moves an estimate by at most its cap.
    #[test]
    fn t7_one_source_counts_for_at_most_four(mean in 1_u64..10_000_000, good in 0_u16..=10_000) {
        let mut harness = Harness::expecting(Config::default(), ms(100));
        harness.feed(Input::View(view(10))).unwrap();
        for source in 1..=5 {
            harness.hear(source, 1, vec![record(9, 100_000)]).unwrap();
        }
        let before = harness.trail(9);
        let lie = Record { good, ..record(9, mean) };
        harness.hear(6, 1, vec![lie]).unwrap();
        let after = harness.trail(9);
        prop_assert!(after.count - before.count <= 4 << 16);
        prop_assert!(after.verified - before.verified <= 4 << 16);
    }

    /// T5: whoever is asked was eligible; a quarantined peer wins only among its like.
    #[test]
    fn t5_candidates_are_eligible(mask in 1_u32..1 << 12, tried in prop::collection::vec(1_u8..13, 0..4)) {
        let eligible: Vec<u8> = (1..13).filter(|n| mask >> (n - 1) & 1 == 1).collect();
        let mut harness = Harness::expecting(Config::default(), ms(100));
        let lives = harness.choose(key(1), &eligible, &tried);
        let fresh = eligible.iter().filter(|n| !tried.contains(n)).count();
        prop_assert!(lives.iter().all(|it| eligible.iter().any(|n| life(*n) == *it)));
        if fresh > 0 {
            prop_assert!(lives.iter().all(|it| tried.iter().all(|n| life(*n) != *it)));
        }
        let expected = if fresh > 0 { fresh } else { eligible.len() };
        prop_assert_eq!(lives.len(), expected.min(5));
    }
}

#[test]
fn t6_every_eligible_peer_is_asked_sometimes() {
    let config = Config { candidates: 1, ..Config::default() };
    let mut harness = Harness::expecting(config, ms(100));
    for _ in 0..20 {
        harness.serve(1, ms(10));
        harness.judged(2, ms(500), Finding::Bad);
    }
    harness.feed(Input::Load { peer: peer(2), queued: ms(3_600_000) }).unwrap();
    // At least 0.02 / 3 of the draws: 67 expected, 40 is three deviations below.
    let draws = harness.draws(&[1, 2, 3], 10_000);
    assert!(draws[1] >= 40, "{draws:?}");
}

#[test]
fn t9_nothing_touched_nothing_open_no_deadline() {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.feed(Input::View(view(10))).unwrap();
    for n in 1..10 {
        harness.feed(Input::Load { peer: peer(n), queued: ms(5) }).unwrap();
    }
    harness.choose(key(1), &[1, 2, 3], &[]);
    assert_eq!(harness.machine.deadline(), None);
    assert_eq!(harness.idle(ms(600_000)), 0);
}
