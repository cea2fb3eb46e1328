//! T3 to T5, T8 to T10: tasks that are executed here.

use core::time::Duration;

use super::{peer::*, *};
use crate::timers::Timer;

/// A peer that runs `p` for the root at peer 1.
fn with_task() -> (Peer, Key) {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 1));
    peer.up(life(3, 1));
    let key = child(root(), 0, "p");
    let out = peer.hears(life(1, 1), work(key, "p", life(1, 1), root()));
    assert_eq!(executes(&out), [key]);
    assert_eq!(signals(&peer.wait(ms(1)), life(1, 1)).accepted, [key]);
    (peer, key)
}

#[test]
fn work_that_is_repeated_is_confirmed_and_not_executed_again() {
    let (mut peer, key) = with_task();
    let out = peer.hears(life(1, 1), work(key, "p", life(1, 1), root()));
    assert_eq!(executes(&out), []);
    assert_eq!(signals(&peer.wait(ms(1)), life(1, 1)).accepted, [key]);
    assert_eq!(peer.machine.waiters(key).len(), 1);
}

#[test]
fn a_task_is_done_after_its_body_and_its_children() {
    let (mut peer, key) = with_task();
    let below = child(key, 0, "a");
    peer.spawn(key, 0, "a", Spawn::Nested);
    peer.placed(below, 1, life(3, 1));
    assert_eq!(signals(&peer.ends(key), life(1, 1)).done, [], "T5");
    let out = peer.hears(life(3, 1), done(fact(below, life(3, 1))));
    let told = signals(&out, life(1, 1)).done;
    let tally = Tally { tasks: 2, ok: 2, failed: 0, executions: 1 };
    assert_eq!(told, [Fact { tally, ..fact(key, life(2, 1)) }]);
}

#[test]
fn a_failed_body_is_a_fact_like_any_other() {
    let (mut peer, key) = with_task();
    let outcome = Outcome::failed("no", "as told");
    let slot = Duration::from_millis(7);
    let out = peer.feed(Input::BodyFinished { key, outcome: outcome.clone(), slot });
    let tally = Tally { tasks: 1, ok: 0, failed: 1, executions: 0 };
    let told = Fact { outcome, tally, slot, ..fact(key, life(2, 1)) };
    assert_eq!(signals(&out, life(1, 1)).done, [told], "what it took is told");
}

#[test]
fn a_fact_is_repeated_until_it_is_taken() {
    let (mut peer, key) = with_task();
    peer.ends(key);
    assert_eq!(signals(&peer.wait(ms(250)), life(1, 1)).done.len(), 1);
    assert_eq!(signals(&peer.wait(ms(500)), life(1, 1)).done.len(), 1);
    let taken = Message::Signal(Signal { taken: vec![key], ..Signal::default() });
    peer.hears(life(1, 1), taken);
    assert_eq!(signals(&peer.wait(ms(60_000)), life(1, 1)).done, []);
    let armed: Vec<Timer> = peer.machine.timers.armed().collect();
    assert_eq!(armed, [Timer::Ask], "only the verdict is asked for");
}

/// T3d: whoever asks for what is done gets the fact.
#[test]
fn a_second_waiter_gets_the_memo() {
    let (mut peer, key) = with_task();
    peer.ends(key);
    let out = peer.hears(life(3, 1), work(key, "p", life(3, 1), root()));
    assert_eq!(executes(&out), []);
    assert_eq!(signals(&out, life(3, 1)).done, [fact(key, life(2, 1))]);
}

#[test]
fn a_task_that_nobody_wants_is_stopped_with_all_below() {
    let (mut peer, key) = with_task();
    let below = child(key, 0, "a");
    peer.spawn(key, 0, "a", Spawn::Nested);
    peer.placed(below, 1, life(3, 1));
    peer.hears(life(3, 1), work(key, "p", life(3, 1), root()));
    let out = peer.hears(life(1, 1), cancelled(key, root()));
    assert!(!out.contains(&Effect::Abort { key }), "peer 3 still waits");
    let out = peer.hears(life(3, 1), cancelled(key, root()));
    assert!(out.contains(&Effect::Abort { key }), "{out:?}");
    assert_eq!(events(&out), [Event::Dropped { key }]);
    let out = [out, peer.wait(ms(1))].concat();
    assert_eq!(signals(&out, life(3, 1)).cancelled, [(below, key)]);
    assert_eq!(
        peer.feed(Input::BodyFinished { key, outcome: ok(), slot: Duration::ZERO }),
        [],
        "its end says nothing"
    );
}

/// I4: a task without reachable waiters ends with the lease, not before.
#[test]
fn the_lease_of_an_orphan_runs_out() {
    let (mut peer, key) = with_task();
    peer.down(life(1, 1));
    let lease = Config::default().lease;
    let out = peer.wait(lease - ms(1));
    assert!(!out.contains(&Effect::Abort { key }), "{out:?}");
    assert!(peer.wait(ms(1)).contains(&Effect::Abort { key }));
}

#[test]
fn a_waiter_that_returns_ends_the_lease() {
    let (mut peer, key) = with_task();
    peer.down(life(1, 1));
    peer.wait(ms(5_000));
    peer.up(life(1, 1));
    assert!(!peer.wait(ms(60_000)).contains(&Effect::Abort { key }));
}

/// T11: the first reachable grand waiter hears where the orphan is.
#[test]
fn an_orphan_reports_to_its_grand_waiters() {
    let mut peer = Peer::new(life(2, 1));
    [1, 3, 4].into_iter().for_each(|number| drop(peer.up(life(number, 1))));
    let (owner, above) = (child(root(), 0, "p"), root());
    let key = child(owner, 0, "a");
    let mut message = work(key, "a", life(1, 1), owner);
    if let Message::Work { grand, .. } = &mut message {
        let waiter = |number| Waiter { life: life(number, 1), owner: above };
        grand.extend([waiter(3), waiter(4)]);
    }
    peer.hears(life(1, 1), message);
    peer.down(life(3, 1));
    let out = peer.down(life(1, 1));
    assert_eq!(to(&out, life(4, 1)), [Message::Orphan { key, owner }]);
    assert_eq!(to(&out, life(3, 1)), []);
}

/// The first grand-waiter it told may be dead, too, and not known to be: then everybody hears it.
#[test]
fn an_orphan_whose_grand_waiters_died_too_tells_everybody() {
    let mut peer = Peer::new(life(2, 1));
    [1, 3, 4].into_iter().for_each(|number| drop(peer.up(life(number, 1))));
    let owner = child(root(), 0, "p");
    let key = child(owner, 0, "a");
    let mut message = work(key, "a", life(1, 1), owner);
    if let Message::Work { grand, .. } = &mut message {
        *grand = vec![Waiter { life: life(3, 1), owner: root() }];
    }
    peer.hears(life(1, 1), message);
    let orphan = Message::Orphan { key, owner };
    let out = peer.down(life(1, 1));
    assert_eq!(to(&out, life(3, 1)), core::slice::from_ref(&orphan));
    assert!(to(&out, life(4, 1)).is_empty());
    let out = peer.down(life(3, 1));
    assert_eq!(to(&out, life(4, 1)), [orphan]);
}

/// T20, T3, I5.
#[test]
fn a_probe_seals_and_a_sealed_life_refuses_work() {
    let (mut peer, key) = with_task();
    let out = peer.hears(life(1, 1), Message::Probe { result: ok().digest(), generation: 0 });
    assert!(out.contains(&Effect::Abort { key }), "{out:?}");
    let seal = Seal { live_before: 1, accepted: 1, ..Seal::default() };
    assert_eq!(to(&out, life(1, 1)), [Message::Sealed { seal }]);
    let other = child(root(), 1, "q");
    let out = peer.hears(life(3, 1), work(other, "q", life(3, 1), root()));
    assert_eq!(to(&out, life(3, 1)), [Message::Sealed { seal }]);
    assert_eq!(executes(&out), []);
    let out = peer.hears(life(3, 1), done(fact(other, life(3, 1))));
    assert_eq!(to(&out, life(3, 1)), [Message::Sealed { seal }], "a fact is answered as well");
}
