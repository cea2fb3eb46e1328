//! The home group of the next generation.

use formic_register::{Ballot, Message as Vote};

use super::{peer::*, *};

fn group() -> [Life; 3] {
    [life(1, 1), life(2, 1), life(3, 1)]
}

fn members(lives: &[Life]) -> Input {
    Input::Members { lives: lives.into() }
}

/// Rank 0 of three that runs the root; four more are up.
fn host() -> Peer {
    let mut peer = Peer::new(life(1, 1));
    (2..=5).for_each(|number| drop(peer.up(life(number, 1))));
    peer.feed(Input::Submit { spec: spec(&group()) });
    peer.hears(life(2, 1), Message::HomeAck { generation: 0 });
    peer.hears(life(3, 1), Message::HomeAck { generation: 0 });
    peer
}

/// What is proposed to be the next group.
fn proposed(out: &[Effect]) -> Option<Vec<Life>> {
    out.iter().find_map(|effect| match effect {
        Effect::Persist(Record::Register {
            record: formic_register::Record::Accepted(_, Ruling::Succeed(next)),
            ..
        }) => Some(next.clone()),
        _ => None,
    })
}

/// The group that keeps the job after 3 was evicted from a mesh of five, and the next one's rank 0.
fn succeeded() -> (Vec<Life>, Peer) {
    let mut peer = host();
    peer.down(life(3, 1));
    peer.feed(members(&[1, 2, 4, 5].map(|number| life(number, 1))));
    let next = proposed(&peer.wait(ms(0))).unwrap();
    let ballot = Ballot { round: 1, rank: 0 };
    let message = Message::Register { generation: 0, message: Vote::Accepted { ballot } };
    let out = peer.hears(life(2, 1), message);
    assert!(out.contains(&Effect::Event(Event::Succeeded {
        groups: vec![group().to_vec(), next.clone()]
    })));
    (next, peer)
}

fn put(later: &[Vec<Life>]) -> Message {
    Message::HomePut { spec: spec(&group()), later: later.to_vec() }
}

#[test]
fn an_evicted_home_peer_is_replaced() {
    let (next, mut peer) = succeeded();
    assert_eq!((next[0], next[1], next.len()), (life(1, 1), life(2, 1), 3));
    assert!([life(4, 1), life(5, 1)].contains(&next[2]));
    let out = peer.wait(ms(250));
    for heir in &next[1..] {
        assert!(to(&out, *heir).contains(&put(core::slice::from_ref(&next))), "{out:?}");
    }
    peer.hears(next[1], Message::HomeAck { generation: 0 });
    peer.hears(next[2], Message::HomeAck { generation: 1 });
    let out = peer.wait(ms(250));
    assert!(
        to(&out, next[1]).contains(&put(core::slice::from_ref(&next))),
        "it knows the first group only"
    );
    assert_eq!(to(&out, next[2]), []);
}

/// The new group decides the result; a vote of the old one says nothing.
#[test]
fn the_result_is_decided_by_the_new_group() {
    let (next, mut peer) = succeeded();
    let out = peer.ends(root());
    let generations = out.iter().filter_map(|effect| match effect {
        Effect::Send { message: Message::Register { generation, .. }, .. } => Some(*generation),
        _ => None,
    });
    assert_eq!(generations.collect::<Vec<_>>(), [1, 1]);
    let vote = |generation| Message::Register {
        generation,
        message: Vote::Accepted { ballot: Ballot { round: 1, rank: 0 } },
    };
    assert!(!completes(&peer.hears(next[1], vote(0))));
    assert!(completes(&peer.hears(next[1], vote(1))));
}

/// What was proposed to a group that hands the job over is proposed to its successor.
#[test]
fn a_result_outlives_the_group_it_was_proposed_to() {
    let mut peer = host();
    peer.ends(root());
    let next = vec![life(1, 1), life(2, 1), life(4, 1)];
    let message = Vote::Decided(Ruling::Succeed(next.clone()));
    let out = peer.hears(life(2, 1), Message::Register { generation: 0, message });
    let proposal = |effect: &Effect| {
        matches!(
            effect,
            Effect::Persist(Record::Register {
                generation: 1,
                record: formic_register::Record::Accepted(_, Ruling::Result(_)),
            })
        )
    };
    assert!(out.iter().any(proposal), "{out:?}");
    let home = out.iter().position(|effect| {
        matches!(effect, Effect::Persist(Record::Home { later, .. }) if *later == [next.clone()])
    });
    assert!(home.is_some() && home < out.iter().position(proposal), "durable first: {out:?}");
}

#[test]
fn who_asks_an_old_group_hears_of_the_new_one() {
    let (next, mut peer) = succeeded();
    let ballot = Ballot { round: 2, rank: 2 };
    let message = Message::Register { generation: 0, message: Vote::Prepare { ballot } };
    assert_eq!(
        to(&peer.hears(life(3, 1), message), life(3, 1)),
        [put(core::slice::from_ref(&next))]
    );
    let out = peer.hears(life(3, 2), Message::HomeBack { generation: 0 });
    assert!(to(&out, life(3, 2)).contains(&put(&[next])), "{out:?}");
}

#[test]
fn an_heir_keeps_the_job_and_a_dropped_one_does_not() {
    let next = vec![life(1, 1), life(2, 1), life(4, 1)];
    let mut heir = Peer::new(life(4, 1));
    let out = heir.hears(life(1, 1), put(core::slice::from_ref(&next)));
    let record = Record::Home { spec: spec(&group()), later: vec![next.clone()] };
    assert_eq!(out[0], Effect::Persist(record.clone()));
    assert_eq!(to(&out, life(1, 1)), [Message::HomeAck { generation: 1 }]);
    let mut dropped = Peer::new(life(3, 1));
    dropped.hears(life(1, 1), put(&[]));
    let out = dropped.hears(life(1, 1), put(&[next]));
    assert_eq!(out[0], Effect::Persist(record));
    dropped.down(life(1, 1));
    dropped.down(life(2, 1));
    assert_eq!(executes(&dropped.wait(ms(60_000))), [], "it is home no more");
}

/// Who forgot what it kept is not asked to keep it again; who remembers is.
#[test]
fn a_life_without_records_does_not_return_to_the_group() {
    for remembers in [false, true] {
        let mut peer = host();
        peer.down(life(3, 1));
        peer.up(life(3, 2));
        if remembers {
            peer.hears(life(3, 2), Message::HomeBack { generation: 0 });
        }
        let all = [life(1, 1), life(2, 1), life(4, 1), life(3, 2)];
        peer.feed(members(&all));
        assert_eq!(proposed(&peer.wait(ms(100))), None, "its records may be on the way");
        let next = proposed(&peer.wait(ms(5_000)));
        let expected = (!remembers).then(|| vec![life(1, 1), life(2, 1), life(4, 1)]);
        assert_eq!(next, expected);
    }
}

#[test]
fn a_home_of_one_grows_with_the_mesh() {
    let mut peer = Peer::alone(life(1, 1));
    peer.feed(members(&[life(1, 1)]));
    assert_eq!(proposed(&peer.wait(ms(1_000))), None);
    (2..=3).for_each(|number| drop(peer.up(life(number, 1))));
    peer.feed(members(&group()));
    let next = proposed(&peer.wait(ms(0))).unwrap();
    assert_eq!((next[0], next.len()), (life(1, 1), 3));
}

/// Of two the mesh goes on with its anchor, so the job does.
#[test]
fn of_two_the_anchor_is_rank_0() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    peer.feed(members(&[life(2, 1), life(1, 1)]));
    assert_eq!(proposed(&peer.wait(ms(0))), Some(vec![life(2, 1), life(1, 1)]));
}

#[test]
fn a_minority_changes_no_home_group() {
    let mut peer = host();
    peer.feed(Input::Quorum { held: false });
    peer.feed(members(&[1, 2, 4, 5].map(|number| life(number, 1))));
    assert_eq!(proposed(&peer.wait(ms(1_000))), None);
    let out = [peer.feed(Input::Quorum { held: true }), peer.wait(ms(0))].concat();
    assert!(proposed(&out).is_some(), "{out:?}");
}

#[test]
fn another_succession_than_the_known_one_is_refused() {
    let (_, mut peer) = succeeded();
    let from = life(2, 1);
    let message = put(&[vec![life(2, 1), life(1, 1), life(5, 1)]]);
    assert_eq!(peer.refuses(Input::Message { from, message }), Error::HomeMismatch { from });
    let message = put(&vec![group().to_vec(); crate::SUCCESSIONS_MAX + 1]);
    assert_eq!(peer.refuses(Input::Message { from, message }), Error::HomeMismatch { from });
}

/// Who decided the later group may be gone, and this one may be its rank 0: node seed 101878.
#[test]
fn who_hears_of_a_later_group_asks_for_it_before_it_confirms() {
    let later = vec![life(1, 1), life(2, 2)];
    let mut peer = Peer::new(life(1, 1));
    peer.hears(life(3, 1), put(&[]));
    let back = || Message::HomeBack { generation: 1 };
    for _ in 0..2 {
        let out = peer.hears(life(2, 2), back());
        assert_eq!(to(&out, life(2, 2)), [Message::HomeBack { generation: 0 }], "until it is told");
    }
    peer.hears(life(2, 2), put(&[later]));
    assert_eq!(to(&peer.hears(life(2, 2), back()), life(2, 2)), [Message::HomeBackAck]);
}

/// The word of the one that decided on the next group was lost, and it left the group: completion seed 145801.
#[test]
fn who_asks_for_the_verdict_is_told_of_a_later_group_that_it_does_not_know() {
    let later = vec![life(3, 1), life(4, 1)];
    let mut peer = Peer::new(life(2, 1));
    let told = |peer: &mut Peer, number, home| {
        let out = peer.hears(life(number, 1), Message::Ask { home });
        let answers = to(&out, life(number, 1));
        assert!(
            answers.is_empty() || answers == [put(core::slice::from_ref(&later))],
            "{answers:?}"
        );
        !answers.is_empty()
    };
    peer.hears(life(1, 1), put(&[]));
    assert!(!told(&mut peer, 3, Some(0)), "there is no later group");
    peer.hears(life(1, 1), put(core::slice::from_ref(&later)));
    assert!(told(&mut peer, 3, Some(0)));
    assert!(!told(&mut peer, 3, Some(1)), "it knows");
    assert!(told(&mut peer, 4, None), "it is of it");
    assert!(!told(&mut peer, 5, None), "it keeps nothing");
}
