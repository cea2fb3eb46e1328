//! The ten bugs that the prototype's model checker and simulator found (completion.md 8.3).

use super::{peer::*, *};

const fn tail(key: Key, life: Option<Life>, descriptor: Arc<Descriptor>) -> Tail {
    Tail { key, life, descriptor }
}

fn group() -> [Life; 3] {
    [life(1, 1), life(2, 1), life(3, 1)]
}

/// Rank 1 of three, which stored the job; all are up.
fn second() -> Peer {
    let mut peer = Peer::new(life(2, 1));
    for other in [life(1, 1), life(3, 1), life(4, 1)] {
        peer.up(other);
    }
    let out = peer.hears(life(1, 1), Message::HomePut { spec: spec(&group()), later: vec![] });
    assert_eq!(to(&out, life(1, 1)), [Message::HomeAck { generation: 0 }]);
    peer
}

#[test]
fn r01_new_life_after_the_verdict_hears_it() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    let mut out = peer.ends(root());
    assert!(to(&out, life(2, 1)).iter().any(|message| matches!(message, Message::Probe { .. })));
    out = peer.hears(life(2, 1), sealed());
    out = peer.attests(&out);
    assert!(verdict(&out).is_some(), "{out:?}");
    peer.hears(life(2, 1), Message::AnnounceAck);
    let announced = |out: &[Effect]| {
        to(out, life(2, 2)).iter().any(|message| matches!(message, Message::Announce { .. }))
    };
    assert!(announced(&peer.up(life(2, 2))));
    assert!(announced(&peer.wait(ms(300))), "until it is confirmed");
    peer.hears(life(2, 2), Message::AnnounceAck);
    assert!(!announced(&peer.wait(ms(10_000))));
    assert_eq!(peer.machine.deadline(), None, "all know: the machine sleeps");
}

#[test]
fn r02_the_next_rank_announces_when_the_first_dies_doing_so() {
    let announced = |out: &[Effect]| {
        to(out, life(4, 1)).iter().any(|message| matches!(message, Message::Announce { .. }))
    };
    let mut peer = second();
    let out = peer.hears(life(1, 1), announce(&group()));
    assert_eq!(to(&out, life(1, 1)), [Message::AnnounceAck]);
    assert!(!announced(&out), "rank 0 does that");
    let out = [peer.down(life(1, 1)), peer.wait(ms(400))].concat();
    assert!(announced(&out), "{out:?}");
}

/// The same, for one that had taken over already and hears the verdict from a member. Found by the
/// simulator of this project.
#[test]
fn r02_also_when_it_acts_already() {
    let mut peer = second();
    peer.down(life(1, 1));
    let out = peer.wait(ms(400));
    assert!(events(&out).contains(&Event::TookOver { rank: 1 }), "{out:?}");
    let out = peer.hears(life(3, 1), announce(&group()));
    let announced = |message: &Message| matches!(message, Message::Announce { .. });
    assert!(to(&out, life(4, 1)).iter().any(announced), "{out:?}");
}

/// Whoever still gathers seals and signatures is told: those it needs may have left the home group.
/// Found by the simulator of this project.
#[test]
fn r02_also_by_whoever_is_asked() {
    let mut peer = Peer::new(life(4, 1));
    peer.up(life(2, 1));
    peer.hears(life(1, 1), announce(&group()));
    let out = peer.hears(life(2, 1), Message::Probe { result: ok().digest(), generation: 0 });
    let announced = |message: &Message| matches!(message, Message::Announce { .. });
    assert!(to(&out, life(2, 1)).iter().any(announced), "{out:?}");
}

#[test]
fn r03_a_home_rank_that_returns_without_its_records_is_gone() {
    let mut peer = second();
    peer.up(life(1, 2));
    let out = peer.wait(ms(400));
    assert!(events(&out).contains(&Event::TookOver { rank: 1 }), "{out:?}");
    assert_eq!(executes(&out), [root()]);
}

#[test]
fn r04_a_refusal_tells_the_successor_that_the_job_was_completed() {
    let mut peer = second();
    peer.down(life(1, 1));
    assert_eq!(executes(&peer.wait(ms(400))), [root()]);
    let key = child(root(), 0, "a");
    peer.spawn(root(), 0, "a", Spawn::Nested);
    peer.placed(key, 1, life(4, 1));
    let out = [peer.hears(life(4, 1), sealed()), peer.wait(ms(10))].concat();
    let ballot = formic_register::Ballot { round: 2, rank: 1 };
    let prepare =
        Message::Register { generation: 0, message: formic_register::Message::Prepare { ballot } };
    assert!(to(&out, life(3, 1)).contains(&prepare), "it asks for the result: {out:?}");
    let first = formic_register::Ballot { round: 1, rank: 0 };
    let decree = Decree { outcome: ok(), tally: Tally::default() };
    let accepted = Some((first, Ruling::Result(decree)));
    let promise = formic_register::Message::Promise { ballot, accepted };
    peer.hears(life(3, 1), Message::Register { generation: 0, message: promise });
    let vote = formic_register::Message::Accepted { ballot };
    let out = peer.hears(life(3, 1), Message::Register { generation: 0, message: vote });
    assert!(completes(&out), "{out:?}");
    assert!(to(&out, life(3, 1)).iter().any(|message| matches!(message, Message::Probe { .. })));
    assert!(peer.machine.is_sealed());
}

#[test]
fn r05_news_of_a_life_that_is_over_does_not_bury_its_successor() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    peer.up(life(2, 2));
    let key = child(root(), 0, "a");
    peer.spawn(root(), 0, "a", Spawn::Nested);
    peer.placed(key, 1, life(2, 2));
    peer.down(life(2, 1));
    assert_eq!(works(&peer.wait(ms(300)), life(2, 2)), [key], "asked again, not given up");
    assert_eq!(peer.machine.executor(root(), key), Some(life(2, 2)));
}

/// `p` runs here for an old waiter and elsewhere for the root; its child `k` is wanted by both.
#[test]
fn r06_two_owners_of_one_child_are_kept_apart() {
    let mut peer = Peer::alone(life(1, 1));
    for other in [life(2, 1), life(3, 1)] {
        peer.up(other);
    }
    let p = child(root(), 0, "p");
    peer.spawn(root(), 0, "p", Spawn::Nested);
    peer.placed(p, 1, life(2, 1));
    peer.hears(life(3, 1), work(p, "p", life(3, 1), root()));
    let k = child(p, 0, "k");
    peer.spawn(p, 0, "k", Spawn::Nested);
    peer.placed(k, 1, life(3, 1));
    let tails = vec![tail(k, Some(life(3, 1)), task("k"))];
    peer.hears(life(2, 1), done(Fact { tails, ..fact(p, life(2, 1)) }));
    assert_eq!(peer.machine.awaits(root()).unwrap().done, 1);
    assert_eq!(peer.machine.open_children(), 3, "the keeper waits for the root, both for k");
    peer.hears(life(3, 1), cancelled(p, root()));
    peer.ends(root());
    let out = peer.hears(life(3, 1), done(fact(k, life(3, 1))));
    assert!(completes(&out), "{out:?}");
}

#[test]
fn r07_an_adopted_tail_at_its_adopter_is_executed() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    let p = child(root(), 0, "p");
    peer.spawn(root(), 0, "p", Spawn::Nested);
    peer.placed(p, 1, life(2, 1));
    let k = child(p, 0, "k");
    let tails = vec![tail(k, Some(life(1, 1)), task("k"))];
    let out = peer.hears(life(2, 1), done(Fact { tails, ..fact(p, life(2, 1)) }));
    assert_eq!(executes(&out), [k], "its Work was lost on the way");
    peer.ends(root());
    assert!(completes(&peer.ends(k)));
}

#[test]
fn r08_a_sealed_life_does_not_stand_for_its_successor() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    peer.ends(root());
    peer.hears(life(2, 1), sealed());
    let out = peer.up(life(2, 2));
    assert!(to(&out, life(2, 2)).iter().any(|message| matches!(message, Message::Probe { .. })));
    let out = peer.hears(life(3, 1), sealed());
    assert_eq!(signs(&out, life(1, 1)), [], "the new life may run anything");
    let out = peer.hears(life(2, 2), sealed());
    let verdict = verdict(&peer.attests(&out)).unwrap();
    let lives: Vec<Life> =
        verdict.certificate.statement.sealed.iter().map(|(life, _)| *life).collect();
    assert!(lives.contains(&life(2, 1)) && lives.contains(&life(2, 2)), "{lives:?}");
}

/// The same, where the news of the new life's end outran those of its start. Found by the simulator
/// of this project.
#[test]
fn r08_also_when_the_new_life_is_reported_dead_first() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    peer.ends(root());
    peer.hears(life(2, 1), sealed());
    peer.down(life(2, 2));
    peer.up(life(2, 2));
    let out = peer.hears(life(3, 1), sealed());
    assert_eq!(signs(&out, life(1, 1)), [], "the new life may run anything");
    let probes = to(&peer.wait(ms(300)), life(2, 2));
    assert!(probes.iter().any(|message| matches!(message, Message::Probe { .. })));
}

/// The first tail is done before the second is in the ledger.
#[test]
fn r09_a_fact_and_its_tails_enter_the_ledger_in_one_step() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    let (a, b) = (child(root(), 0, "a"), child(root(), 1, "b"));
    peer.spawn(root(), 0, "a", Spawn::Tail);
    peer.spawn(root(), 1, "b", Spawn::Tail);
    peer.placed(a, 1, life(1, 1));
    peer.placed(b, 1, life(2, 1));
    peer.ends(a);
    let out = peer.ends(root());
    assert!(!completes(&out), "b is not done: {out:?}");
    assert!(completes(&peer.hears(life(2, 1), done(fact(b, life(2, 1))))));
}

#[test]
fn r10_the_verdict_is_checked_after_the_whole_input() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    peer.ends(root());
    let out = peer.up(life(2, 2));
    assert_eq!(signs(&out, life(1, 1)), [], "the old life is over, the new one not sealed");
    let out = peer.hears(life(2, 2), sealed());
    let verdict = verdict(&peer.attests(&out)).unwrap();
    assert_eq!(verdict.certificate.statement.excluded, [life(2, 1)]);
    assert!(verdict.certificate.statement.sealed.iter().any(|(life, _)| *life == self::life(2, 2)));
}
