use super::world::{SECOND, World, founder, handle_at, life, member_of};
use crate::{Activity, Effect, Event, Input, Load, Mesh, Message, Requirement, Standing};

fn load(running: u16) -> Load {
    Load { running, slots: 10, ..Load::default() }
}

/// Feeds a load and says whether anything was published.
fn publishes(mesh: &mut Mesh, us: u64, input: Input) -> bool {
    let out = handle_at(mesh, us, input).unwrap();
    out.iter().any(|it| matches!(it, Effect::Send { message: Message::Delta { .. }, .. }))
}

#[test]
fn load_is_known_everywhere() {
    let mut world = World::of(3);
    world.feed(1, Input::SetLoad { load: load(3) });
    assert!(world.peers.values().all(|peer| peer.load(life(1)) == Some((load(3), false))));
}

#[test]
fn a_small_mesh_publishes_load_at_most_every_200_ms() {
    let mut mesh = member_of(1, &[2]);
    assert!(publishes(&mut mesh, 1_000, Input::SetLoad { load: load(1) }));
    assert!(!publishes(&mut mesh, 2_000, Input::SetLoad { load: load(2) }));
    assert!(!publishes(&mut mesh, 200_000, Input::Deadline));
    assert!(publishes(&mut mesh, 201_000, Input::Deadline), "late, not never");
    assert!(!publishes(&mut mesh, SECOND, Input::SetLoad { load: load(2) }), "not unchanged");
}

#[test]
fn a_larger_mesh_publishes_only_what_changed_much() {
    let others: Vec<u8> = (2..=40).collect();
    let mut mesh = member_of(1, &others);
    let queued = |queued| Input::SetLoad { load: Load { queued, ..load(1) } };
    assert!(publishes(&mut mesh, SECOND, queued(100)));
    assert!(!publishes(&mut mesh, 3 * SECOND, queued(109)));
    assert!(publishes(&mut mesh, 4 * SECOND, queued(200)));
    assert!(!publishes(&mut mesh, 4 * SECOND + 900_000, queued(400)), "once a second");
}

#[test]
fn a_peer_is_saturated_after_a_second_at_80_percent_until_a_second_at_60() {
    let mut mesh = founder(1);
    let mut at = |us, running| {
        handle_at(&mut mesh, us, Input::SetLoad { load: load(running) }).unwrap();
        handle_at(&mut mesh, us + 1, Input::Deadline).unwrap();
        mesh.search(&Requirement::default()).unwrap()[0].saturated
    };
    assert!(!at(SECOND, 8));
    assert!(!at(SECOND + 500_000, 7), "half a second is not enough");
    assert!(!at(SECOND + 600_000, 9));
    assert!(!at(2 * SECOND + 500_000, 9));
    assert!(at(2 * SECOND + 700_000, 9));
    assert!(at(4 * SECOND, 7), "between the marks nothing changes");
    assert!(at(5 * SECOND, 6));
    assert!(!at(6 * SECOND + 1_000, 6));
}

#[test]
fn who_is_silent_paused_or_draining_is_given_no_work() {
    let mut world = World::of(2);
    let is_candidate = |world: &World| world.peers[&0].candidates(&[]).contains(&life(1));
    assert!(is_candidate(&world));
    world.feed(0, Input::Suspect { life: life(1) });
    assert!(!is_candidate(&world));
    let standing = world.peers[&0].members().find(|(it, _)| it.life == life(1)).map(|(_, s)| s);
    assert_eq!(standing, Some(Standing::Suspect));
    world.feed(0, Input::Cleared { life: life(1) });
    assert!(is_candidate(&world));
    world.feed(0, Input::Paused { life: life(1) });
    assert!(!is_candidate(&world));
    world.feed(0, Input::Resumed { life: life(1) });
    assert!(is_candidate(&world));
    let paused = Load { activity: Activity::Paused, ..load(0) };
    world.feed(1, Input::SetLoad { load: paused });
    assert!(!is_candidate(&world));
    assert!(world.events.contains(&(0, Event::Changed { life: life(1) })));
    world.run_for(SECOND);
    world.feed(1, Input::SetLoad { load: load(0) });
    assert!(is_candidate(&world));
    world.feed(1, Input::Drain);
    assert!(!is_candidate(&world));
}
