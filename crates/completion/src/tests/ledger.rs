//! T2, T6, T7, T9, T11, T15: children and their executors.

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
