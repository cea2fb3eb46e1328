//! T1, T13, T17, T18: the home group.

use super::{peer::*, *};

fn group() -> [Life; 3] {
    [life(1, 1), life(2, 1), life(3, 1)]
}

/// Rank 0 of three with all others up, restored from its record.
fn restored() -> Peer {
    let mut peer = Peer::new(life(1, 2));
    peer.feed(Input::Restore {
        records: vec![Record::Home { spec: spec(&group()), later: vec![] }],
    });
    peer
}

/// One acknowledgement for both would end the other repetition. Found by the simulator.
#[test]
fn a_return_is_repeated_until_itself_is_acknowledged() {
    let mut peer = restored();
    assert!(to(&peer.up(life(2, 1)), life(2, 1)).contains(&Message::HomeBack { generation: 0 }));
    peer.up(life(3, 1));
    peer.hears(life(2, 1), Message::HomeAck { generation: 0 });
    assert!(to(&peer.wait(ms(300)), life(2, 1)).contains(&Message::HomeBack { generation: 0 }));
    peer.hears(life(2, 1), Message::HomeBackAck);
    assert!(!to(&peer.wait(ms(300)), life(2, 1)).contains(&Message::HomeBack { generation: 0 }));
}

/// Whoever knows of the return need not have stored the job.
#[test]
fn an_acknowledged_return_does_not_stand_for_the_home_record() {
    let mut peer = restored();
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    peer.hears(life(2, 1), Message::HomeBackAck);
    let put = |message: &Message| matches!(message, Message::HomePut { .. });
    assert!(to(&peer.wait(ms(300)), life(2, 1)).iter().any(put));
    peer.hears(life(2, 1), Message::HomeAck { generation: 0 });
    assert!(!to(&peer.wait(ms(300)), life(2, 1)).iter().any(put));
}

#[test]
fn a_job_is_accepted_once_a_majority_stored_it() {
    let mut peer = Peer::new(life(1, 1));
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    let out = peer.feed(Input::Submit { spec: spec(&group()) });
    assert!(matches!(out[0], Effect::Persist(Record::Home { .. })), "before anything leaves");
    assert_eq!((executes(&out), events(&out)), (vec![], vec![]));
    let put = vec![Message::HomePut { spec: spec(&group()), later: vec![] }];
    assert_eq!(to(&out, life(2, 1)), put);
    assert_eq!(to(&peer.wait(ms(250)), life(3, 1)), put);
    let out = peer.hears(life(3, 1), Message::HomeAck { generation: 0 });
    assert!(events(&out).contains(&Event::Accepted), "{out:?}");
    assert_eq!(executes(&out), [root()]);
    assert!(
        !events(&peer.hears(life(2, 1), Message::HomeAck { generation: 0 }))
            .contains(&Event::Accepted)
    );
}

/// T18: completing is writing to the register, on the disk of a majority.
#[test]
fn the_result_is_decided_by_a_majority() {
    let mut peer = Peer::new(life(1, 1));
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    peer.feed(Input::Submit { spec: spec(&group()) });
    peer.hears(life(2, 1), Message::HomeAck { generation: 0 });
    let out = peer.ends(root());
    assert!(!completes(&out), "{out:?}");
    let ballot = formic_register::Ballot { round: 1, rank: 0 };
    let persisted = |effect: &Effect| matches!(effect, Effect::Persist(Record::Register { .. }));
    let sent =
        |effect: &Effect| matches!(effect, Effect::Send { message: Message::Register { .. }, .. });
    let (disk, wire) = (out.iter().position(persisted), out.iter().position(sent));
    assert!(disk.is_some() && disk < wire, "{out:?}");
    let vote =
        Message::Register { generation: 0, message: formic_register::Message::Accepted { ballot } };
    assert!(completes(&peer.hears(life(3, 1), vote)));
}

#[test]
fn two_home_lives_and_rank_1_never_completes_alone() {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 1));
    peer.hears(
        life(1, 1),
        Message::HomePut { spec: spec(&[life(1, 1), life(2, 1)]), later: vec![] },
    );
    peer.down(life(1, 1));
    let out = peer.wait(ms(60_000));
    assert_eq!((executes(&out), events(&out)), (vec![], vec![]));
}

#[test]
fn a_higher_rank_waits_its_turn() {
    let mut peer = Peer::new(life(3, 1));
    peer.up(life(1, 1));
    peer.up(life(2, 1));
    let five = [1, 2, 3, 4, 5].map(|number| life(number, 1));
    peer.up(life(4, 1));
    peer.up(life(5, 1));
    peer.hears(life(1, 1), Message::HomePut { spec: spec(&five), later: vec![] });
    peer.down(life(1, 1));
    assert_eq!(executes(&peer.wait(ms(5_000))), [], "rank 1 is up");
    peer.down(life(2, 1));
    assert_eq!(executes(&peer.wait(ms(599))), [], "two take-over delays for rank 2");
    assert_eq!(executes(&peer.wait(ms(1))), [root()]);
}

/// A restarted home of one goes on: it executes the root again and keeps what was done below it.
#[test]
fn a_job_continues_from_its_records() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    let keys = [child(root(), 0, "a"), child(root(), 1, "b")];
    peer.spawn(root(), 0, "a", Spawn::Nested);
    peer.spawn(root(), 1, "b", Spawn::Nested);
    keys.iter().for_each(|key| drop(peer.placed(*key, 1, life(2, 1))));
    let out = peer.hears(life(2, 1), done(fact(keys[0], life(2, 1))));
    let kept = Effect::Persist(Record::Fact(Arc::new(fact(keys[0], life(2, 1)))));
    assert!(out.contains(&kept), "{out:?}");
    let mut next = Peer::new(life(1, 2));
    let records = vec![
        Record::Home { spec: spec(&[life(1, 1)]), later: vec![] },
        Record::Fact(Arc::new(fact(keys[0], life(2, 1)))),
    ];
    assert_eq!(executes(&next.feed(Input::Restore { records })), [root()]);
    next.up(life(2, 1));
    let out = next.spawn(root(), 0, "a", Spawn::Nested);
    assert!(!out.iter().any(|effect| matches!(effect, Effect::Place { .. })), "{out:?}");
    let out = next.spawn(root(), 1, "b", Spawn::Nested);
    assert!(out.iter().any(|effect| matches!(effect, Effect::Place { .. })), "{out:?}");
}

#[test]
fn a_closed_job_is_closed_after_a_restart() {
    let mut peer = Peer::alone(life(1, 1));
    let out = peer.ends(root());
    let out = peer.attests(&out);
    let closed = out.iter().find_map(|effect| match effect {
        Effect::Persist(record @ Record::Closed { .. }) => Some(record.clone()),
        _ => None,
    });
    let records = vec![Record::Home { spec: spec(&[life(1, 1)]), later: vec![] }, closed.unwrap()];
    let mut next = Peer::new(life(1, 2));
    let out = next.feed(Input::Restore { records });
    assert_eq!(executes(&out), []);
    assert_eq!(verdict(&out), peer.machine.verdict().cloned());
}

/// A home group that was cut off from the mesh's majority works on, and ends nothing.
#[test]
fn without_a_majority_of_the_mesh_the_result_waits() {
    let mut peer = Peer::alone(life(1, 1));
    assert_eq!(peer.feed(Input::Quorum { held: false }), []);
    let out = peer.ends(root());
    assert!(!completes(&out), "{out:?}");
    assert_eq!(peer.feed(Input::Quorum { held: false }), [], "saying it again changes nothing");
    assert!(!completes(&peer.wait(ms(60_000))));
    assert!(completes(&peer.feed(Input::Quorum { held: true })));
}

/// Whom somebody asks for the verdict.
fn asked(out: &[Effect]) -> Vec<Life> {
    let ask = |effect: &Effect| match effect {
        Effect::Send { to, message: Message::Ask { .. } } => Some(*to),
        _ => None,
    };
    out.iter().filter_map(ask).collect()
}

/// Whoever was to tell this life may be dead: it asks one after the other, slower and slower.
#[test]
fn an_open_life_asks_for_the_verdict() {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 1));
    peer.up(life(3, 1));
    peer.hears(life(1, 1), work(child(root(), 0, "p"), "p", life(1, 1), root()));
    assert_eq!(asked(&peer.wait(ms(1_999))), []);
    assert_eq!(asked(&peer.wait(ms(1))), [life(1, 1)]);
    assert_eq!(asked(&peer.wait(ms(2_000))), [life(3, 1)]);
    let hour = peer.wait(ms(3_600_000));
    assert!(asked(&hour).len() < 40, "slower and slower: {}", asked(&hour).len());
}

/// The group may have ended the job without the life that submitted it, cut off before it heard an
/// acknowledgement, and then have died or begun new lives, to which it says nothing else. Node seed 34742.
#[test]
fn a_submission_that_nobody_acknowledges_asks_for_the_verdict() {
    let mut peer = Peer::new(life(1, 1));
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    peer.feed(Input::Submit { spec: spec(&group()) });
    peer.up(life(2, 2));
    peer.down(life(3, 1));
    assert_eq!(asked(&peer.wait(ms(2_000))), [life(2, 2)]);
    assert!(verdict(&peer.hears(life(2, 2), announce(&group()))).is_some());
    assert_eq!(asked(&peer.wait(ms(60_000))), []);
}

/// Whoever comes back need not be who announces the verdict, and who announces it need not have met this
/// life: node seeds 37260, 63202, 97108.
#[test]
fn a_life_that_knows_a_job_by_a_return_alone_asks_for_the_verdict() {
    let mut peer = Peer::new(life(4, 1));
    peer.up(life(2, 2));
    assert_eq!(
        to(&peer.hears(life(2, 2), Message::HomeBack { generation: 0 }), life(2, 2)),
        [Message::HomeBackAck]
    );
    assert_eq!(asked(&peer.wait(ms(2_000))), [life(2, 2)]);
}
