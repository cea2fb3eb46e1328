use core::time::Duration;

use formic_core::FateId;

use super::world::{SECOND, World, handle_at, life, member_of};
use crate::{Cause, Config, Effect, Event, Input, Mesh, Status};

fn causes(mesh: &mut Mesh, us: u64) -> Vec<Cause> {
    handle_at(mesh, us, Input::Deadline).unwrap();
    mesh.health().causes.into_iter().map(|(cause, _)| cause).collect()
}

fn healthy() -> Mesh {
    let mut mesh = member_of(1, &[2, 3]);
    handle_at(&mut mesh, SECOND, Input::Margin { margin: 1 }).unwrap();
    mesh
}

#[test]
fn a_mesh_without_a_cause_is_well() {
    let mut world = World::of(4);
    world.run_for(100 * SECOND);
    for peer in world.peers.values() {
        assert_eq!((peer.health().status, peer.health().causes), (Status::Well, vec![]));
        assert_eq!(peer.health().margin, Some(9));
    }
}

#[test]
fn a_lost_majority_is_critical_and_told_once() {
    let mut mesh = healthy();
    let told = |status| Effect::Event(Event::Health { status });
    let out = handle_at(&mut mesh, SECOND, Input::Quorum { held: false }).unwrap();
    assert!(out.contains(&told(Status::Critical)), "{out:?}");
    let out = handle_at(&mut mesh, 2 * SECOND, Input::Deadline).unwrap();
    assert!(!out.contains(&told(Status::Critical)));
    assert_eq!(mesh.health().causes, [(Cause::QuorumLost, Duration::from_secs(1))]);
    let out = handle_at(&mut mesh, 2 * SECOND, Input::Quorum { held: true }).unwrap();
    assert!(out.contains(&told(Status::Well)), "{out:?}");
}

#[test]
fn no_margin_degrades() {
    let mut mesh = healthy();
    handle_at(&mut mesh, 2 * SECOND, Input::Margin { margin: 0 }).unwrap();
    assert_eq!(causes(&mut mesh, 3 * SECOND), [Cause::NoMargin]);
    assert_eq!(mesh.health().status, Status::Degraded);
}

#[test]
fn a_process_that_holds_the_majority_is_named() {
    let mut world = World::default();
    for n in 0..3 {
        let fate = FateId(if n < 2 { 7 } else { 8 });
        let found = (n == 0).then(super::world::mesh_id);
        let seeds: &[u8] = if n == 0 { &[] } else { &[0] };
        world.add(n, Config { fate, ..super::world::config(n, found, seeds) });
    }
    // What stands in for healing knows one process per peer: the views are made here.
    let mut view = (*super::world::view(9, &[0, 1, 2])).clone();
    view.members[0].fate = FateId(7);
    view.members[1].fate = FateId(7);
    world.run_for(2 * SECOND);
    world.feed(2, Input::View { view: view.into() });
    let health = world.peers[&2].health();
    let names = |it: &(Cause, Duration)| it.0 == Cause::OneFate { fate: FateId(7) };
    assert!(health.causes.iter().any(names), "{health:?}");
}

#[test]
fn a_missing_link_is_told_after_two_seconds() {
    let mut mesh = healthy();
    handle_at(&mut mesh, SECOND, Input::LinkDown { life: life(2) }).unwrap();
    assert_eq!(causes(&mut mesh, 2 * SECOND), []);
    assert_eq!(causes(&mut mesh, 4 * SECOND), [Cause::LinkMissing { life: life(2) }]);
    handle_at(&mut mesh, 5 * SECOND, Input::LinkUp { life: life(2) }).unwrap();
    assert_eq!(causes(&mut mesh, 6 * SECOND), []);
}

#[test]
fn slow_and_full_links_and_a_late_loop_count_for_ten_seconds() {
    let mut mesh = healthy();
    let ms = Duration::from_millis;
    let sample = |rtt, full| Input::Sample { life: life(2), rtt: Some(ms(rtt)), full: ms(full) };
    handle_at(&mut mesh, SECOND, sample(1, 0)).unwrap();
    handle_at(&mut mesh, SECOND, sample(10, 600)).unwrap();
    assert_eq!(causes(&mut mesh, SECOND), []);
    handle_at(&mut mesh, 2 * SECOND, sample(51, 600)).unwrap();
    handle_at(&mut mesh, 2 * SECOND, Input::Late { by: ms(61) }).unwrap();
    let (slow, full) = (Cause::SlowLink { life: life(2) }, Cause::FullLink { life: life(2) });
    assert_eq!(causes(&mut mesh, 3 * SECOND), [slow, full, Cause::LateLoop]);
    assert_eq!(causes(&mut mesh, 13 * SECOND), []);
}

#[test]
fn records_that_stay_different_are_told_after_ten_seconds() {
    let mut mesh = healthy();
    let root = Input::Message { from: life(2), message: crate::Message::Root { root: 1 } };
    handle_at(&mut mesh, SECOND, root).unwrap();
    assert_eq!(causes(&mut mesh, 10 * SECOND), []);
    assert_eq!(causes(&mut mesh, 12 * SECOND), [Cause::OutOfSync { life: life(2) }]);
    let same = Input::Message { from: life(2), message: crate::Message::Same };
    handle_at(&mut mesh, 13 * SECOND, same).unwrap();
    assert_eq!(causes(&mut mesh, 14 * SECOND), []);
}

#[test]
fn a_life_that_comes_and_goes_flaps() {
    let mut mesh = healthy();
    for n in 1..=3 {
        assert_eq!(causes(&mut mesh, n * 10 * SECOND), []);
        handle_at(&mut mesh, n * 10 * SECOND, Input::Down { life: life(3) }).unwrap();
        handle_at(&mut mesh, n * 10 * SECOND, Input::Up { life: life(3) }).unwrap();
    }
    assert_eq!(causes(&mut mesh, 40 * SECOND), [Cause::Flapping { life: life(3) }]);
    assert_eq!(causes(&mut mesh, 620 * SECOND), [], "ten minutes later that is over");
}

#[test]
fn who_finds_nobody_is_alone_after_thirty_seconds() {
    let mut world = World::default();
    world.add(1, super::world::config(1, None, &[2]));
    world.run_for(29 * SECOND);
    assert_eq!(world.peers[&1].health().causes, []);
    world.run_for(3 * SECOND);
    assert_eq!(world.peers[&1].health().causes[0].0, Cause::Alone);
    assert!(world.events.contains(&(1, Event::Health { status: Status::Degraded })));
}
