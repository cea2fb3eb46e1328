use core::time::Duration;
use std::sync::Arc;

use formic_core::{Protocol as _, Random, View};

use super::world::{World, life, member, ms};
use crate::{Busy, Cause, Config, Effect, Event, Fate, Healing, Input, Message};

const SECOND: Duration = Duration::from_secs(1);

fn latest(world: &World, dead: usize, at: formic_core::Time) -> u64 {
    u64::try_from(world.downs(dead, at).into_iter().max().unwrap().as_millis()).unwrap()
}

#[test]
fn a_crash_is_known_to_everybody_within_450_ms() {
    for (count, loss) in [(2, 0), (3, 0), (5, 100), (10, 0), (10, 200), (40, 0), (40, 200)] {
        for seed in 0..8 {
            let mut world = World::new(count, seed);
            world.loss = loss;
            world.run(SECOND * 2 + Duration::from_millis(seed * 13));
            assert_eq!(world.false_downs(), 0, "{count} peers, loss {loss}, seed {seed}");
            let (dead, at) = (count - 1, world.now);
            world.crash(dead);
            world.run(Duration::from_millis(700));
            let latest = latest(&world, dead, at);
            assert!(latest <= 450, "{count} peers, loss {loss}, seed {seed}: {latest} ms");
            world.check_history();
        }
    }
}

#[test]
fn a_fifth_of_all_beats_lost_accuses_nobody() {
    for count in [2, 3, 4, 7, 10, 30] {
        let mut world = World::new(count, 9);
        world.loss = 200;
        world.run(SECOND * 120);
        assert_eq!(world.false_downs(), 0, "{count} peers");
        // Beats, alerts, answers: at most 100 a second and peer.
        let rate = world.messages / 120 / count as u64;
        assert!(rate <= 100, "{count} peers: {rate} messages per second and peer");
    }
}

#[test]
fn who_stalled_itself_accuses_nobody() {
    for seed in 0..20 {
        let mut world = World::new(10, seed);
        world.run(SECOND);
        world.stall(3, Duration::from_millis(300));
        world.run(SECOND);
        world.stall(3, Duration::from_millis(340));
        world.run(SECOND);
        let by_stalled = world.events.iter().filter(|(_, by, event)| {
            *by == 3 && matches!(event, Event::Suspect { .. } | Event::Down { .. })
        });
        assert_eq!(by_stalled.count(), 0, "seed {seed}");
    }
}

/// What came meanwhile may still lie in the transport: silence proves nothing to one that was not there.
#[test]
fn a_peer_that_is_late_itself_forgives_a_silence() {
    let mut world = World::new(10, 1);
    world.run(SECOND);
    let mut late = world.hosts[3].machine.clone();
    let mut out = Vec::new();
    late.handle(world.now + Duration::from_millis(900), Input::Deadline, &mut out).unwrap();
    let accuses = |effect: &Effect| {
        matches!(effect, Effect::Event(Event::Suspect { .. }))
            || matches!(effect, Effect::Send { message: Message::Alert { .. }, .. })
    };
    assert!(!out.iter().any(accuses), "{out:?}");
}

#[test]
fn a_long_stall_is_taken_back_when_the_peer_is_heard_again() {
    let mut world = World::new(10, 4);
    world.run(SECOND);
    world.stall(3, Duration::from_millis(700));
    world.run(SECOND * 3);
    for n in (0..10).filter(|n| *n != 3) {
        let told: Vec<&Event> = world
            .events
            .iter()
            .filter(|(_, by, event)| {
                *by == n
                    && matches!(event, Event::Up { life: who } | Event::Down { life: who, .. }
                        if *who == life(3, 1))
            })
            .map(|(_, _, event)| event)
            .collect();
        let silent = |event: &Event| matches!(event, Event::Down { cause: Cause::Silent, .. });
        assert_eq!(told.len(), 3, "{n}: {told:?}");
        assert!(silent(told[1]) && matches!(told[2], Event::Up { .. }), "{n}: {told:?}");
    }
    assert_eq!(world.view(0).epoch.0, 1, "a stall of 700 ms costs no membership");
    world.check_history();
}

#[test]
fn a_third_of_all_dies_at_once() {
    for seed in 0..10 {
        let mut world = World::new(40, seed);
        world.run(SECOND);
        let at = world.now;
        (0..12).for_each(|n| world.crash(n * 3 + 1));
        world.run(SECOND * 3);
        let latest = (0..12).map(|n| latest(&world, n * 3 + 1, at)).max().unwrap();
        assert!(latest <= 1_100, "seed {seed}: the last death was known after {latest} ms");
        let view = world.view(0);
        assert_eq!(view.members.len(), 28, "seed {seed}");
        let seen = |(when, _, event): &(formic_core::Time, usize, Event)| match event {
            Event::View { view } if view.members.len() == 28 => Some(when.since(at)),
            _ => None,
        };
        let evicted = world.events.iter().filter_map(seen).max().unwrap();
        assert!(evicted <= Duration::from_millis(1_800), "seed {seed}: evicted after {evicted:?}");
        world.check_history();
    }
}

#[test]
fn whoever_holds_nothing_beats_once_a_second_and_is_still_found() {
    let mut world = World::new(10, 1);
    world.all_busy(Busy::No);
    world.run(SECOND * 20);
    let before = world.messages;
    world.run(SECOND * 10);
    let rate = (world.messages - before) / 10 / 10;
    assert!(rate <= 10, "{rate} messages per second and quiet peer");
    let at = world.now;
    world.crash(4);
    world.run(SECOND * 5);
    let latest = latest(&world, 4, at);
    assert!(latest <= 4_000, "a quiet peer's death was known after {latest} ms");
    assert_eq!(world.false_downs(), 9);
}

#[test]
fn who_is_missed_before_it_is_heard_is_up_once_it_is() {
    let mut one = Healing::new(Config::default(), member(0, 1), Random::new(7)).unwrap();
    let mut out = Vec::new();
    let members = (0..4).map(|n| member(n, 1)).collect();
    let view = Arc::new(View { members, ..View::found(member(0, 1)) });
    one.handle(ms(0), Input::Joined(view), &mut out).unwrap();
    let mut now = ms(0);
    while let Some(at) = one.deadline().filter(|at| *at < ms(3_000)) {
        now = now.max(at);
        one.handle(now, Input::Deadline, &mut out).unwrap();
    }
    let other = life(1, 1);
    assert!(now > ms(100), "its silence was waited for");
    assert!(!out.contains(&Effect::Event(Event::Up { life: other })));
    let link = Input::LinkUp { life: other, fate: Fate::Own };
    one.handle(now, link, &mut out).unwrap();
    assert!(out.contains(&Effect::Event(Event::Up { life: other })));
}

#[test]
fn who_suspected_everybody_watches_again() {
    let mut world = World::new(3, 1);
    world.run(SECOND);
    // Peer 2 hears nobody for a while.
    world.cut.extend([(0, 2), (1, 2)]);
    world.run(SECOND / 2);
    world.cut.clear();
    world.run(SECOND * 2);
    let from = world.events.len();
    world.crash(1);
    world.run(SECOND);
    let down = |observer: usize| {
        let mut told = world.events[from..].iter().filter(|(_, at, _)| *at == observer);
        told.any(
            |(_, _, event)| matches!(event, Event::Down { life: dead, .. } if *dead == life(1, 1)),
        )
    };
    assert!(down(0) && down(2));
}
