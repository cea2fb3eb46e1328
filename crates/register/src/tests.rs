use std::collections::BTreeSet;

use formic_core::{Digest, Incarnation, Life, PeerId, Protocol, Random, Time};

use crate::{Ballot, Effect, Error, Input, Message, Record, Register, is_quorum};

mod claims;
mod interleavings;
mod model;

fn life(rank: usize, incarnation: u64) -> Life {
    let byte = u8::try_from(rank).unwrap() + 1;
    Life::new(PeerId::from_bytes([byte; 32]), Incarnation(incarnation))
}

fn group(count: usize) -> Vec<Life> {
    (0..count).map(|rank| life(rank, 1)).collect()
}

fn replica(count: usize, rank: usize) -> Register<u32> {
    Register::new(group(count), rank).unwrap()
}

fn feed(register: &mut Register<u32>, input: Input<u32>) -> Vec<Effect<u32>> {
    let mut out = Vec::new();
    register.handle(Time::ZERO, input, &mut out).unwrap();
    register.check();
    out
}

const fn ballot(round: u64, rank: u16) -> Ballot {
    Ballot { round, rank }
}

/// R2: what was promised to a higher ballot is not given to a lower one.
#[test]
fn nothing_is_accepted_below_a_promise() {
    let mut replica = replica(3, 1);
    let hear = |from, message| Input::Message { from: life(from, 1), message };
    feed(&mut replica, hear(2, Message::Prepare { ballot: ballot(2, 2) }));
    let accept = Message::Accept { ballot: ballot(1, 0), value: 7 };
    let out = feed(&mut replica, hear(0, accept));
    let refuse = Message::Refuse { ballot: ballot(1, 0), promised: ballot(2, 2) };
    assert_eq!(out, [Effect::Send { to: life(0, 1), message: refuse }]);
}

/// Rank 0 needs no promises in round 1, and a restart must not change what it sent there.
#[test]
fn reserved() {
    let mut first = replica(3, 0);
    let out = feed(&mut first, Input::Propose(7));
    let accept = Message::Accept { ballot: ballot(1, 0), value: 7 };
    assert_eq!(
        out,
        [
            Effect::Persist(Record::Accepted(ballot(1, 0), 7)),
            Effect::Send { to: life(1, 1), message: accept.clone() },
            Effect::Send { to: life(2, 1), message: accept.clone() },
        ]
    );
    let mut again = replica(3, 0);
    feed(&mut again, Input::Restore(vec![Record::Accepted(ballot(1, 0), 7)]));
    let out = feed(&mut again, Input::Propose(8));
    assert!(out.contains(&Effect::Send { to: life(1, 1), message: accept }), "{out:?}");
}

/// Rank 0 that promised a later ballot has lost its reserved round.
#[test]
fn reserved_round_is_gone_after_a_promise() {
    let mut first = replica(3, 0);
    feed(
        &mut first,
        Input::Message { from: life(1, 1), message: Message::Prepare { ballot: ballot(2, 1) } },
    );
    let out = feed(&mut first, Input::Propose(7));
    let prepare = Message::Prepare { ballot: ballot(3, 0) };
    assert!(out.contains(&Effect::Send { to: life(2, 1), message: prepare }), "{out:?}");
}

/// A refused reserved round is over: whoever repeats it is refused for ever. Found by the simulator.
#[test]
fn reserved_round_is_gone_after_a_refusal() {
    let mut first = replica(3, 0);
    feed(&mut first, Input::Propose(7));
    let message = Message::Refuse { ballot: ballot(1, 0), promised: ballot(2, 1) };
    feed(&mut first, Input::Message { from: life(1, 1), message });
    let mut out = Vec::new();
    let later = Time::ZERO + core::time::Duration::from_secs(1);
    first.handle(later, Input::Deadline, &mut out).unwrap();
    let prepare = Message::Prepare { ballot: ballot(3, 0) };
    assert!(out.contains(&Effect::Send { to: life(1, 1), message: prepare }), "{out:?}");
}

#[test]
fn two() {
    let mut anchor = replica(2, 0);
    assert!(feed(&mut anchor, Input::Propose(1)).contains(&Effect::Decided(1)));
    let mut second = replica(2, 1);
    let out = feed(&mut second, Input::Propose(2));
    assert!(!out.iter().any(|effect| matches!(effect, Effect::Decided(_))), "{out:?}");
    let quorum = |ranks: &[usize], count| is_quorum(&ranks.iter().copied().collect(), count, 0);
    assert!(quorum(&[0], 2) && !quorum(&[1], 2));
    assert!(quorum(&[1, 2], 3) && !quorum(&[0], 3));
    assert!(quorum(&[0, 3], 4) && !quorum(&[1, 2], 4));
}

/// Any even count: the half with the anchor decides, whichever rank that is, and the other never.
#[test]
fn half_decides_with_the_anchor_only() {
    for anchor in 0..4 {
        let decides = |helper: usize| {
            let mut first: Register<u32> = Register::anchored(group(4), 0, anchor).unwrap();
            feed(&mut first, Input::Propose(1));
            let message = Message::Accepted { ballot: ballot(1, 0) };
            let out = feed(&mut first, Input::Message { from: life(helper, 1), message });
            out.contains(&Effect::Decided(1))
        };
        for helper in 1..4 {
            assert_eq!(decides(helper), anchor == 0 || anchor == helper, "{anchor}, {helper}");
        }
    }
    assert!(Register::<u32>::anchored(group(3), 0, 3).is_err());
}

/// The members of a large view decide the next one, and no message costs them more than a look-up.
#[test]
fn a_thousand_replicas_decide() {
    let peer = |rank: usize| PeerId::from_bytes(*Digest::of(&[&rank.to_be_bytes()]).as_bytes());
    let lives: Vec<_> = (0..1_000).map(|rank| Life::new(peer(rank), Incarnation(1))).collect();
    let mut late: Register<u32> = Register::new(lives.clone(), 700).unwrap();
    let first = feed(&mut late, Input::Propose(7));
    let prepare = Message::Prepare { ballot: ballot(2, 700) };
    let asked = first
        .iter()
        .filter(|effect| matches!(effect, Effect::Send { message, .. } if *message == prepare));
    assert_eq!(asked.count(), 999);
    let promise = Message::Promise { ballot: ballot(2, 700), accepted: None };
    let accepted = Message::Accepted { ballot: ballot(2, 700) };
    let mut decided = 0;
    for (message, votes) in [(promise, 500), (accepted, 500)] {
        for from in lives.iter().take(votes) {
            let out = feed(&mut late, Input::Message { from: *from, message: message.clone() });
            decided += out.iter().filter(|effect| **effect == Effect::Decided(7)).count();
        }
    }
    assert_eq!(decided, 1);
}

#[test]
fn whoever_asks_after_the_decision_is_told() {
    let mut anchor = replica(2, 0);
    feed(&mut anchor, Input::Propose(1));
    let message = Message::Prepare { ballot: ballot(2, 1) };
    let out = feed(&mut anchor, Input::Message { from: life(1, 1), message });
    assert_eq!(out, [Effect::Send { to: life(1, 1), message: Message::Decided(1) }]);
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let mut register = replica(3, 1);
    feed(&mut register, Input::Deadline);
    let message = |from, message| Input::Message { from, message };
    let cases = [
        (message(life(8, 1), Message::Decided(1)), Error::NotReplica { from: life(8, 1) }),
        (message(life(1, 1), Message::Decided(1)), Error::NotReplica { from: life(1, 1) }),
        (
            message(life(2, 1), Message::Accept { ballot: ballot(1, 2), value: 1 }),
            Error::ForeignBallot { from: life(2, 1), ballot: ballot(1, 2) },
        ),
        (
            message(life(2, 1), Message::Prepare { ballot: ballot(4, 0) }),
            Error::ForeignBallot { from: life(2, 1), ballot: ballot(4, 0) },
        ),
        (Input::Restore(vec![]), Error::RestoreNotFirst),
        (
            Input::Replaced { rank: 0, life: life(2, 2) },
            Error::WrongRank { rank: 0, life: life(2, 2) },
        ),
    ];
    for (input, error) in cases {
        let before = register.clone();
        let mut out = Vec::new();
        assert_eq!(register.handle(Time::ZERO, input, &mut out), Err(error));
        assert_eq!((register.clone(), out), (before, vec![]));
    }
    assert!(Register::<u32>::new(group(3), 3).is_err());
    assert!(Register::<u32>::new(vec![life(0, 1), life(0, 2)], 0).is_err());
    assert!(Register::<u32>::new(vec![], 0).is_err());
}

#[test]
fn two_values_under_one_ballot_are_refused() {
    let mut register = replica(3, 1);
    let accept = |value| Message::Accept { ballot: ballot(1, 0), value };
    feed(&mut register, Input::Message { from: life(0, 1), message: accept(1) });
    let input = Input::Message { from: life(0, 1), message: accept(2) };
    let error = register.handle(Time::ZERO, input, &mut Vec::new());
    assert_eq!(error, Err(Error::TwoValues { from: life(0, 1), ballot: ballot(1, 0) }));
}

#[test]
fn a_replaced_replica_is_asked_again() {
    let mut first = replica(3, 0);
    feed(&mut first, Input::Propose(7));
    let out = feed(&mut first, Input::Replaced { rank: 1, life: life(1, 2) });
    let message = Message::Accept { ballot: ballot(1, 0), value: 7 };
    assert_eq!(out, [Effect::Send { to: life(1, 2), message }]);
}

#[test]
fn a_learner_proposes_nothing_and_adopts_what_was_accepted() {
    let mut learner = replica(3, 1);
    let out = feed(&mut learner, Input::Learn);
    let prepare = Message::Prepare { ballot: ballot(2, 1) };
    assert!(out.contains(&Effect::Send { to: life(2, 1), message: prepare }), "{out:?}");
    let promise = |accepted| Message::Promise { ballot: ballot(2, 1), accepted };
    let mut other = learner.clone();
    let out = feed(&mut other, Input::Message { from: life(2, 1), message: promise(None) });
    assert_eq!(out, []);
    let message = promise(Some((ballot(1, 0), 7)));
    let out = feed(&mut learner, Input::Message { from: life(2, 1), message });
    let accept = Message::Accept { ballot: ballot(2, 1), value: 7 };
    assert!(out.contains(&Effect::Send { to: life(2, 1), message: accept }), "{out:?}");
}
