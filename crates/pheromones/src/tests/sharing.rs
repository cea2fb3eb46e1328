//! G1 to G6.

use formic_core::{Epoch, Incarnation, Life, PeerId, Protocol};

use super::harness::{Harness, KIND, key, life, ms, peer, record, view};
use crate::{
    Config, Effect, Error, Event, Finding, Input, Kind, Message, RECORDS_MAX, Record,
    heard::trimmed, share::Sharing,
};

fn member(members: u8) -> Harness {
    let mut harness = Harness::expecting(Config::default(), ms(100));
    harness.feed(Input::View(view(members))).unwrap();
    harness
}

fn sent(harness: &Harness) -> Vec<(Life, u64, Vec<Record>)> {
    let sent = harness.out.iter().filter_map(|effect| match effect {
        Effect::Send { to, message: Message::Trails { seq, records, .. }, .. } => {
            Some((*to, *seq, records.clone()))
        }
        Effect::Event(_) => None,
    });
    sent.collect()
}

#[test]
fn g1_what_was_touched_is_told_once_and_then_there_is_silence() {
    let mut harness = member(4);
    assert_eq!(harness.machine.deadline(), None);
    harness.serve(2, ms(80));
    let told = sent(&harness);
    assert_eq!(told.iter().map(|it| it.0).collect::<Vec<_>>(), [life(1), life(2), life(3)]);
    let expected =
        Record { kind: KIND, subject: peer(2), count: 16, mean_us: 80_000, verified: 0, good: 0 };
    assert!(told.iter().all(|(_, seq, records)| (*seq, &records[..]) == (1, &[expected])));
    harness.out.clear();
    harness.serve(2, ms(80));
    harness.serve(1, ms(80));
    assert_eq!(sent(&harness), [], "not within 200 ms");
    harness.idle(ms(1_000));
    assert_eq!(sent(&harness).len(), 3, "one message with both, to three");
    assert_eq!(sent(&harness)[0].2.len(), 2);
    harness.out.clear();
    assert_eq!(harness.idle(ms(600_000)), 0, "ten minutes without a wake (T9)");
    assert_eq!(harness.out, []);
}

#[test]
fn g2_the_sender_keeps_its_rate_largest_change_first() {
    let config = Config { share_burst: 3, share_rate: 1, ..Config::default() };
    let mut harness = Harness::expecting(config, ms(1));
    harness.feed(Input::View(view(10))).unwrap();
    harness.serve(9, ms(1)); // One of the burst.
    harness.out.clear();
    for n in 1..=5 {
        for _ in 0..n {
            harness.serve(n, ms(1));
        }
    }
    harness.idle(ms(200));
    let subjects: Vec<PeerId> = sent(&harness)[0].2.iter().map(|it| it.subject).collect();
    assert_eq!(subjects, [peer(5), peer(4)]);
    harness.out.clear();
    harness.idle(ms(3_000));
    let later: Vec<PeerId> = sent(&harness).iter().step_by(9).map(|it| it.2[0].subject).collect();
    assert_eq!(later, [peer(3), peer(2), peer(1)], "one a second");
}

#[test]
fn g2_the_receiver_drops_floods_and_mutes_who_goes_on() {
    let mut harness = member(10);
    let full = || vec![record(2, 1_000); RECORDS_MAX];
    for seq in 1..=13 {
        harness.hear(1, seq, full()).unwrap();
    }
    // 100 at once; 104 came.
    assert_eq!(harness.machine.counters().flood, 4);
    harness.out.clear();
    for step in 0..=100 {
        harness.wait(ms(100));
        harness.hear(1, 14 + step, full()).unwrap();
    }
    let muted = Effect::Event(Event::Muted { peer: peer(1) });
    assert_eq!(harness.out.iter().filter(|effect| **effect == muted).count(), 1);
    let before = harness.machine.counters().flood;
    harness.wait(ms(50_000));
    harness.hear(1, 1_000, full()).unwrap();
    assert_eq!(harness.machine.counters().flood, before + 8, "muted for a minute");
    harness.wait(ms(10_000));
    harness.hear(1, 1_001, full()).unwrap();
    assert_eq!(harness.machine.counters().flood, before + 8);
}

#[test]
fn g3_what_no_correct_peer_shares_is_refused_whole() {
    let mut harness = member(10);
    let good = record(3, 1_000);
    let (from, subject) = (peer(1), peer(77));
    let praise = harness.hear(1, 1, vec![good, record(1, 1_000)]);
    assert_eq!(praise, Err(Error::SelfPraise { from }));
    let stranger = harness.hear(1, 1, vec![good, Record { subject, ..good }]);
    assert_eq!(stranger, Err(Error::UnknownSubject { from, subject }));
    for bad in [
        Record { count: 65, ..good },
        Record { verified: 65, ..good },
        Record { good: 10_001, ..good },
        Record { mean_us: 0, ..good },
        Record { mean_us: u64::MAX, ..good },
    ] {
        let refused = harness.hear(1, 1, vec![good, bad]);
        assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{refused:?}");
    }
    assert!(matches!(harness.hear(1, 1, vec![good; 9]), Err(Error::OutOfRange { .. })));
    assert_eq!(harness.hear(77, 1, vec![good]), Err(Error::NotMember { from: life(77) }));
    let reborn = Life::new(peer(1), Incarnation(2));
    let message = Message::Trails { epoch: Epoch(1), seq: 1, records: vec![good] };
    let refused = harness.feed(Input::Message { from: reborn, message });
    assert_eq!(refused, Err(Error::NotMember { from: reborn }));
}

#[test]
fn g3_what_is_merely_old_or_unknown_is_counted() {
    let mut harness = member(10);
    harness.hear(1, 5, vec![record(2, 1_000)]).unwrap();
    harness.hear(1, 5, vec![record(2, 1_000)]).unwrap();
    let message = Message::Trails { epoch: Epoch(9), seq: 6, records: vec![record(2, 1)] };
    harness.feed(Input::Message { from: life(1), message }).unwrap();
    let strange = Record { kind: Kind(99), ..record(2, 1_000) };
    harness.hear(1, 7, vec![strange]).unwrap();
    let counters = harness.machine.counters();
    assert_eq!((counters.stale, counters.unknown_kind), (2, 1));
}

#[test]
fn g4_a_source_counts_at_most_for_the_cap_however_often_it_speaks() {
    let config = Config { source_cap: 1, ..Config::default() };
    let mut harness = Harness::expecting(config, ms(100));
    harness.feed(Input::View(view(10))).unwrap();
    for source in [1, 2, 3, 4, 5, 6] {
        for seq in 1..=3 {
            harness.hear(source, seq, vec![record(9, 50_000)]).unwrap();
        }
    }
    // Six samples; two are cut at each end.
    assert_eq!(harness.trail(9).count, 2 << 16);
    assert_eq!(harness.trail(9).verified, 2 << 16);
}

#[test]
fn g5_liars_within_the_cut_move_an_estimate_no_further_than_the_honest_do() {
    // Panel of 9: two may lie.
    let mut harness = member(10);
    for (source, mean) in [(1, 40_000), (2, 45_000), (3, 50_000), (4, 55_000), (5, 60_000)] {
        harness.hear(source, 1, vec![record(9, mean)]).unwrap();
    }
    let honest = harness.trail(9);
    assert_eq!(honest.count, 4 << 16, "five voices of four, four cut at each end of two");
    for (source, mean) in [(6, 1), (7, 1)] {
        let slander = Record { good: 0, ..record(9, mean) };
        harness.hear(source, 1, vec![slander]).unwrap();
    }
    let trail = harness.trail(9);
    let without_prior = (trail.service_us * 13 - 70_000) / 12;
    assert!((40_000..=60_000).contains(&without_prior), "{without_prior}");
    assert_eq!(trail.good, trail.verified, "their verdicts are cut");
}

#[test]
fn g5_the_panel_counts_who_may_speak_not_who_spoke() {
    let mut harness = member(10);
    harness.hear(1, 1, vec![record(9, 1)]).unwrap();
    harness.hear(2, 1, vec![record(9, 1)]).unwrap();
    harness.hear(3, 1, vec![record(9, 1)]).unwrap();
    assert_eq!(harness.trail(9).count, 0, "three could all be liars, or two of them");
}

#[test]
fn g5_below_five_members_own_experience_alone_counts() {
    for (members, expected) in [(4, 0), (5, 4 << 16)] {
        let mut harness = member(members);
        for source in 1..members - 1 {
            harness.hear(source, 1, vec![record(members - 1, 50_000)]).unwrap();
        }
        assert_eq!(harness.trail(members - 1).count, expected, "{members}");
    }
}

#[test]
fn g5_trims_as_a_naive_reading_does() {
    let mut voices = [(30, 4), (10, 4), (20, 2), (90, 4)];
    // 10 10 | 10 10 20 20 30 30 30 30 | 90 ...
    assert_eq!(trimmed(&mut voices, 4), Some((26, 6)));
    assert_eq!(trimmed(&mut voices, 7), None, "nothing is left");
    assert_eq!(trimmed(&mut voices, u64::MAX), None);
    assert_eq!(trimmed(&mut [], 0), None);
}

#[test]
fn g6_panel_and_audience_mirror_each_other() {
    let config = Config::default();
    for members in [1, 2, 10, 25, 26, 60] {
        let view = view(members);
        let all: Vec<Sharing> = (0..members)
            .map(|n| {
                let mut sharing = Sharing::new(&config);
                sharing.on_view(&config, life(n), &view);
                sharing
            })
            .collect();
        for (n, one) in (0..members).zip(&all) {
            assert_eq!(one.panel.len(), usize::from(members - 1).min(24), "{members}");
            assert!(!one.panel.contains(&peer(n)), "nobody listens to itself");
            for (other, two) in (0..members).zip(&all) {
                let hears = one.panel.contains(&peer(other));
                assert_eq!(hears, two.audience.contains(&life(n)), "{n} {other} of {members}");
            }
        }
    }
}

#[test]
fn g6_a_new_view_draws_new_panels_and_drops_strangers() {
    let config = Config::default();
    let mut sharing = Sharing::new(&config);
    sharing.on_view(&config, life(0), &view(60));
    let before = sharing.panel.clone();
    sharing.on_view(&config, life(0), &view(61));
    assert_ne!(before, sharing.panel);

    let mut harness = member(10);
    for source in 1..=6 {
        harness.hear(source, 1, vec![record(9, 50_000)]).unwrap();
    }
    assert_ne!(harness.trail(9).count, 0);
    let mut smaller = view(10);
    smaller.members.truncate(4);
    smaller.epoch = Epoch(2);
    harness.feed(Input::View(smaller)).unwrap();
    assert_eq!(harness.trail(9).count, 0);
}

#[test]
fn g6_outside_the_panel_nobody_is_heard() {
    let mut harness = member(60);
    let panel = harness.machine.sharing.panel.clone();
    let outside = (1..60).find(|n| !panel.contains(&peer(*n))).unwrap();
    harness.hear(outside, 1, vec![record(9, 1)]).unwrap();
    assert_eq!(harness.machine.counters().outside_panel, 1);
}

#[test]
fn hearsay_is_never_told_on_and_honesty_never_told() {
    let mut harness = member(10);
    for source in 1..=6 {
        harness.hear(source, 1, vec![record(9, 50_000)]).unwrap();
    }
    harness.out.clear();
    harness.judged(9, ms(80), Finding::Bad);
    harness.idle(ms(1_000));
    let told: Vec<Record> = sent(&harness).into_iter().flat_map(|it| it.2).collect();
    let own = |it: &Record| it.count <= 16 && it.mean_us.abs_diff(80_000) < 2 && it.good == 0;
    assert!(!told.is_empty() && told.iter().all(own), "{told:?}");
    harness.send(key(1), 1, 8, ms(1));
    harness.out.clear();
    harness.idle(ms(60_000));
    assert_eq!(sent(&harness), [], "a broken promise is nobody else's business");
}
