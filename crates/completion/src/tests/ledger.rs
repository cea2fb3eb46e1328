//! T2, T6, T7, T9, T11, T15: children and their executors.

use core::time::Duration;

use super::{peer::*, *};

/// A home of one that spawned `a` to peer 2, up and known.
fn with_child() -> (Peer, Key) {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    peer.up(life(3, 1));
    let key = child(root(), 0, "a");
    let out = peer.spawn(root(), 0, "a", Spawn::Nested);
    assert!(out.contains(&Effect::Place { key, attempt: 1, descriptor: task("a"), avoid: None }));
    assert_eq!(works(&peer.placed(key, 1, life(2, 1)), life(2, 1)), [key]);
    (peer, key)
}

/// A peer that leaves returns its queue: the child moves under the same attempt.
#[test]
fn a_returned_child_moves_without_a_respawn() {
    for was_accepted in [false, true] {
        let (mut peer, key) = with_child();
        if was_accepted {
            peer.hears(life(2, 1), accepted(key));
        }
        let out = peer.placed(key, 1, life(3, 1));
        assert_eq!(works(&out, life(3, 1)), [key], "accepted: {was_accepted}");
        assert_eq!(peer.machine.executor(root(), key), Some(life(3, 1)));
        assert_eq!(signals(&out, life(2, 1)).cancelled, [(key, root())]);
        let respawned = |event: &Event| matches!(event, Event::Respawned { .. });
        assert!(!events(&out).iter().any(respawned), "{out:?}");
        let out = peer.down(life(2, 1));
        assert!(!events(&out).iter().any(respawned), "the place it left is no loss: {out:?}");
    }
}

fn respawns(out: &[Effect]) -> Vec<(Key, u16)> {
    let respawn = |event| match event {
        Event::Respawned { key, attempt, .. } => Some((key, attempt)),
        _ => None,
    };
    events(out).into_iter().filter_map(respawn).collect()
}

#[test]
fn a_child_is_placed_sent_accepted_and_done() {
    let (mut peer, key) = with_child();
    let count = |peer: &Peer| {
        let awaits = peer.machine.awaits(root()).unwrap();
        (awaits.placing, awaits.sent, awaits.accepted, awaits.done)
    };
    assert_eq!(count(&peer), (0, 1, 0, 0));
    peer.hears(life(2, 1), accepted(key));
    assert_eq!(count(&peer), (0, 0, 1, 0));
    let out = peer.hears(life(2, 1), done(fact(key, life(2, 1))));
    let (slot, below) = (Duration::ZERO, 0);
    let told = Event::ChildDone { owner: root(), key, by: life(2, 1), outcome: ok(), slot, below };
    assert!(events(&out).contains(&told), "{out:?}");
    assert_eq!(signals(&out, life(2, 1)).taken, [key], "T6: fin");
    assert_eq!(count(&peer), (0, 0, 0, 1));
    let again = peer.hears(life(2, 1), done(fact(key, life(2, 1))));
    assert_eq!(events(&again), [], "a fact is told once");
    assert_eq!(signals(&again, life(2, 1)).taken, [key]);
}

#[test]
fn a_spawn_repeated_by_the_same_body_changes_nothing() {
    let (mut peer, key) = with_child();
    let out = peer.spawn(root(), 0, "a", Spawn::Nested);
    assert_eq!(out, [Effect::Event(Event::Spawned { owner: root(), key })]);
}

#[test]
fn another_digest_of_the_same_fact_is_reported_and_the_first_counts() {
    let (mut peer, key) = with_child();
    peer.hears(life(2, 1), done(fact(key, life(2, 1))));
    let outcome = Outcome::failed("other", "than before");
    let out = peer.hears(life(2, 1), done(Fact { outcome, ..fact(key, life(2, 1)) }));
    assert_eq!(events(&out), [Event::Divergent { key }]);
}

#[test]
fn a_fact_from_another_than_the_executor_cancels_the_executor() {
    let (mut peer, key) = with_child();
    let out = peer.hears(life(3, 1), done(fact(key, life(3, 1))));
    assert_eq!(signals(&out, life(2, 1)).cancelled, [(key, root())]);
    let out = peer.hears(life(2, 1), accepted(key));
    assert_eq!(signals(&out, life(2, 1)).cancelled, [(key, root())], "T7b");
}

#[test]
fn a_fact_that_came_before_its_entry_counts() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    let key = child(root(), 0, "a");
    let out = peer.hears(life(2, 1), done(fact(key, life(2, 1))));
    assert_eq!((signals(&out, life(2, 1)).taken, events(&out)), (vec![key], vec![]));
    let out = peer.spawn(root(), 0, "a", Spawn::Nested);
    assert!(events(&out).iter().any(|event| matches!(event, Event::ChildDone { .. })), "{out:?}");
    assert_eq!(works(&out, life(2, 1)), []);
}

#[test]
fn a_lost_executor_is_replaced() {
    let (mut peer, key) = with_child();
    let out = peer.down(life(2, 1));
    assert_eq!(respawns(&out), [(key, 2)]);
    let avoid = Some(life(2, 1));
    assert!(out.contains(&Effect::Place { key, attempt: 2, descriptor: task("a"), avoid }));
    assert_eq!(works(&peer.placed(key, 1, life(3, 1)), life(3, 1)), [], "answers attempt 1");
    assert_eq!(works(&peer.placed(key, 2, life(3, 1)), life(3, 1)), [key]);
}

#[test]
fn a_suspicion_that_was_false_costs_one_execution() {
    let (mut peer, key) = with_child();
    peer.down(life(2, 1));
    peer.placed(key, 2, life(3, 1));
    peer.up(life(2, 1));
    let out = peer.hears(life(2, 1), done(fact(key, life(2, 1))));
    assert_eq!(signals(&out, life(3, 1)).cancelled, [(key, root())]);
    assert_eq!(peer.machine.awaits(root()).unwrap().done, 1);
}

#[test]
fn an_executor_that_does_not_have_it_is_replaced() {
    let (mut peer, key) = with_child();
    let unknown = Message::Signal(Signal { unknown: vec![key], ..Signal::default() });
    assert_eq!(respawns(&peer.hears(life(3, 1), unknown.clone())), [], "not its executor");
    assert_eq!(respawns(&peer.hears(life(2, 1), unknown)), [(key, 2)]);
}

/// T15: soon while nothing was heard, later once it was accepted.
#[test]
fn work_is_repeated_until_it_is_done() {
    let (mut peer, key) = with_child();
    assert_eq!(works(&peer.wait(ms(250)), life(2, 1)), [key]);
    assert_eq!(works(&peer.wait(ms(500)), life(2, 1)), [key]);
    peer.hears(life(2, 1), accepted(key));
    assert_eq!(works(&peer.wait(ms(1_999)), life(2, 1)), []);
    assert_eq!(works(&peer.wait(ms(1)), life(2, 1)), [key]);
    peer.hears(life(2, 1), done(fact(key, life(2, 1))));
    assert_eq!(works(&peer.wait(ms(60_000)), life(2, 1)), []);
}

#[test]
fn an_executor_never_met_is_given_up() {
    let mut peer = Peer::alone(life(1, 1));
    let key = child(root(), 0, "a");
    peer.spawn(root(), 0, "a", Spawn::Nested);
    peer.placed(key, 1, life(9, 1));
    assert_eq!(respawns(&peer.wait(ms(20_000))), [(key, 2)]);
}

/// T14: the child's second execution goes where its own first child is alive.
#[test]
fn an_orphan_is_found_again() {
    let (mut peer, key) = with_child();
    peer.down(life(2, 1));
    peer.placed(key, 2, life(3, 1));
    let grandchild = child(key, 0, "b");
    let out = peer.hears(life(4, 1), Message::Orphan { key: grandchild, owner: key });
    let hinted = |message: &Message| matches!(message, Message::Work { hints, .. } if *hints == [(grandchild, life(4, 1))]);
    assert!(to(&out, life(3, 1)).iter().any(hinted), "{out:?}");
}

/// T2t: the tail's waiter is its parent's waiter, and the parent does not wait for it.
#[test]
fn a_tail_is_handed_over() {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 1));
    peer.up(life(3, 1));
    let (parent, owner) = (child(root(), 0, "p"), root());
    peer.hears(life(1, 1), work(parent, "p", life(1, 1), owner));
    let key = child(parent, 0, "t");
    peer.spawn(parent, 0, "t", Spawn::Tail);
    let out = peer.placed(key, 1, life(3, 1));
    assert_eq!(to(&out, life(3, 1)), [work(key, "t", life(1, 1), owner)]);
    let out = peer.ends(parent);
    let facts = signals(&out, life(1, 1)).done;
    let tails = vec![Tail { key, life: Some(life(3, 1)), descriptor: task("t") }];
    assert_eq!(facts, [Fact { tails, ..fact(parent, life(2, 1)) }]);
}

#[test]
fn a_tail_of_a_task_with_two_waiters_is_awaited() {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 1));
    peer.up(life(3, 1));
    let parent = child(root(), 0, "p");
    peer.hears(life(1, 1), work(parent, "p", life(1, 1), root()));
    peer.hears(life(3, 1), work(parent, "p", life(3, 1), root()));
    let key = child(parent, 0, "t");
    peer.spawn(parent, 0, "t", Spawn::Tail);
    peer.placed(key, 1, life(3, 1));
    assert_eq!(signals(&peer.ends(parent), life(1, 1)).done, []);
    let out = peer.hears(life(3, 1), done(fact(key, life(3, 1))));
    assert_eq!(signals(&out, life(1, 1)).done.len(), 1);
}

/// T6: tails are adopted, also where their executor is gone or was never chosen.
#[test]
fn adopted_tails_are_awaited() {
    let (mut peer, key) = with_child();
    peer.down(life(3, 1));
    let names = ["t", "u", "v"];
    let keys: Vec<Key> =
        names.iter().zip(0..).map(|(name, index)| child(key, index, name)).collect();
    let lives = [Some(life(2, 1)), Some(life(3, 1)), None];
    let tail = |at: usize| Tail { key: keys[at], life: lives[at], descriptor: task(names[at]) };
    let tails = (0..3).map(tail).collect();
    let out = peer.hears(life(2, 1), done(Fact { tails, ..fact(key, life(2, 1)) }));
    assert_eq!(works(&out, life(2, 1)), [keys[0]]);
    assert_eq!(respawns(&out), [(keys[1], 2)]);
    let place = |at: usize, attempt, avoid| Effect::Place {
        key: keys[at],
        attempt,
        descriptor: task(names[at]),
        avoid,
    };
    assert!(out.contains(&place(1, 2, Some(life(3, 1)))), "{out:?}");
    assert!(out.contains(&place(2, 1, None)), "{out:?}");
    peer.ends(root());
    assert_eq!(peer.machine.open_children(), 4, "three tails, and the root itself");
}

#[test]
fn a_placement_that_is_not_needed_is_taken_back() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 1));
    let key = child(root(), 0, "a");
    peer.spawn(root(), 0, "a", Spawn::Nested);
    let out = peer.hears(life(2, 1), done(fact(key, life(2, 1))));
    assert!(out.contains(&Effect::Unplace { key }), "{out:?}");
}

/// T16: what is owed to one life leaves together, at the latest after the flush delay.
#[test]
fn signals_are_gathered() {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 1));
    let keys = [child(root(), 0, "a"), child(root(), 1, "b")];
    let first = peer.hears(life(1, 1), work(keys[0], "a", life(1, 1), root()));
    let second = peer.hears(life(1, 1), work(keys[1], "b", life(1, 1), root()));
    assert_eq!(to(&[first, second].concat(), life(1, 1)), []);
    let out = peer.wait(ms(1));
    assert_eq!(to(&out, life(1, 1)).len(), 1);
    assert_eq!(signals(&out, life(1, 1)).accepted, keys);
}

/// Facts that together are too large for one message travel in several.
#[test]
fn a_large_signal_is_split() {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 1));
    let keys: Vec<Key> = (0..40).map(|index| child(root(), index, "a")).collect();
    for key in &keys {
        peer.hears(life(1, 1), work(*key, "a", life(1, 1), root()));
    }
    peer.wait(ms(1));
    let value = vec![7; 4_096];
    let mut out = Vec::new();
    for key in &keys {
        let outcome = Outcome::Ok(Output { value: value.clone(), files: vec![] });
        out.extend(peer.feed(Input::BodyFinished { key: *key, outcome, slot: Duration::ZERO }));
    }
    let parts = to(&out, life(1, 1));
    assert!(parts.len() >= 4, "160 KiB in {} messages", parts.len());
    assert_eq!(signals(&out, life(1, 1)).done.len(), 40);
}
