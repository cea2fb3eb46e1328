use core::time::Duration;
use std::collections::BTreeSet;

use super::world::{World, life, member};
use crate::{Config, Event, Input, Standing};

const SECOND: Duration = Duration::from_secs(1);

fn founded(count: usize) -> World {
    let mut world = World::with(0, 5, Config::default());
    for n in 0..count {
        world.add_host(n);
    }
    world.feed(0, Input::Found);
    world.link_all();
    world
}

/// Joins as mesh does: shows newcomers the view that has them.
fn welcome(world: &mut World, span: Duration) {
    for _ in 0..span.as_millis() / 10 {
        world.run(Duration::from_millis(10));
        let view = world.view(0);
        for n in 1..world.hosts.len() {
            let me = life(n, world.hosts[n].incarnation);
            let knows = world.hosts[n].machine.view().is_some_and(|known| known.contains(me));
            if world.hosts[n].alive && view.contains(me) && !knows {
                world.feed(n, Input::Joined(std::sync::Arc::clone(&view)));
            }
        }
    }
}

#[test]
fn ten_newcomers_are_in_one_view_after_a_few() {
    let mut world = founded(10);
    (1..10).for_each(|n| world.feed(0, Input::Admit(member(n, 1))));
    welcome(&mut world, SECOND);
    for n in 0..10 {
        assert_eq!(world.view(n), world.view(0));
        assert_eq!(world.view(n).members.len(), 10);
        assert_eq!(world.standing(n), Standing::Held);
        assert_eq!(world.hosts[n].machine.up().len(), 9);
    }
    assert!(world.view(0).epoch.0 <= 3, "admissions are batched: {}", world.view(0).epoch);
    assert_eq!(world.view(0).members[0].life, life(0, 1), "the founder is the most senior");
    world.check_history();
}

#[test]
fn a_newcomer_is_admitted_whoever_it_asks() {
    for asked in 0..5 {
        let mut world = World::new(5, asked as u64);
        world.add_host(5);
        world.link_all();
        world.run(SECOND);
        world.feed(asked, Input::Admit(member(5, 1)));
        welcome(&mut world, SECOND);
        assert_eq!(world.view(0).members.len(), 6, "asked {asked}");
    }
}

#[test]
fn ten_shrink_to_one_by_single_crashes() {
    let mut world = World::new(10, 3);
    world.run(SECOND);
    for dead in (1..10).rev() {
        world.crash(dead);
        world.run(Duration::from_millis(1_800));
        for n in 0..dead {
            assert_eq!(world.view(n).members.len(), dead, "at {n} after {dead} died");
            assert_eq!(world.standing(n), Standing::Held, "at {n} after {dead} died");
        }
    }
    world.check_history();
}

#[test]
fn a_view_takes_the_life_out_within_1200_ms() {
    for seed in 0..10 {
        let mut world = World::new(10, seed);
        world.loss = 100;
        world.run(SECOND);
        let at = world.now;
        world.crash(usize::try_from(seed).unwrap());
        world.run(SECOND * 2);
        let views = world.events.iter().filter(
            |(_, _, event)| matches!(event, Event::View { view } if view.members.len() == 9),
        );
        let last = views.map(|(when, _, _)| when.since(at)).max().unwrap();
        assert!(last <= Duration::from_millis(1_200), "seed {seed}: {last:?}");
        world.check_history();
    }
}

#[test]
fn a_restart_within_the_timeout_takes_its_place_back() {
    let mut world = World::new(5, 2);
    world.run(SECOND);
    world.crash(0);
    world.run(Duration::from_millis(100));
    world.restart(0);
    world.run(SECOND);
    for n in 0..5 {
        let view = world.view(n);
        assert_eq!(view.members.len(), 5);
        assert_eq!(view.members[0].life, life(0, 2), "seniority belongs to the peer");
        assert_eq!(world.standing(n), Standing::Held);
    }
    world.check_history();
}

#[test]
fn all_lose_power_and_come_back() {
    for seed in 0..20 {
        let mut world = World::new(7, seed);
        world.run(SECOND);
        (0..7).for_each(|n| world.crash(n));
        world.run(SECOND);
        for n in 0..6 {
            world.restart(n);
            world.run(Duration::from_millis(seed * 7));
            if n < 3 {
                assert_eq!(world.standing(n), Standing::Lost, "{n} are no majority of seven");
            }
        }
        world.run(SECOND * 5);
        for n in 0..6 {
            // Who comes back late is appended: the order is that of their admissions.
            let lives: BTreeSet<_> = world.view(n).lives().collect();
            assert_eq!(lives, (0..6).map(|n| life(n, 2)).collect(), "seed {seed}, {n}");
            assert_eq!(world.standing(n), Standing::Held);
        }
        world.check_history();
    }
}

#[test]
fn whoever_leaves_is_out_at_once() {
    let mut world = World::new(6, 2);
    world.run(SECOND);
    world.crash(2);
    for n in [0, 1, 3, 4, 5] {
        world.feed(n, Input::Left { life: life(2, 1) });
    }
    world.run(Duration::from_millis(100));
    assert_eq!(world.view(0).members.len(), 5);
    world.check_history();
}

#[test]
fn random_crashes_and_cuts_end_in_one_view_of_the_living() {
    let mut evictions = 0;
    for seed in 0..300_u64 {
        let count = 3 + usize::try_from(seed % 8).unwrap();
        let mut world = World::new(count, seed);
        let mut draw = formic_core::Random::new(seed);
        world.loss = draw.below(3) * 100;
        world.run(SECOND);
        for _ in 0..draw.below(5) {
            let n = usize::try_from(draw.below(count as u64)).unwrap();
            match draw.below(4) {
                0 if world.hosts[n].alive => world.crash(n),
                0 | 1 if !world.hosts[n].alive => world.restart(n),
                1 => {
                    let side: Vec<usize> = (0..count).filter(|_| draw.chance(400)).collect();
                    world.split(&side);
                }
                2 => world.stall(n, Duration::from_millis(draw.below(1_500))),
                _ => world.cut.clear(),
            }
            world.run(Duration::from_millis(draw.below(1_500)));
        }
        world.cut.clear();
        (0..count)
            .filter(|n| !world.hosts[*n].alive)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|n| world.restart(n));
        for _ in 0..4 {
            world.run(SECOND * 2);
            reborn(&mut world);
        }
        world.run(SECOND * 3);
        evictions += world.view(0).epoch.0 - 1;
        let lives: Vec<_> = (0..count).map(|n| life(n, world.hosts[n].incarnation)).collect();
        for n in 0..count {
            let mut seen: Vec<_> = world.view(n).lives().collect();
            seen.sort_unstable();
            assert_eq!(seen, lives, "seed {seed}: {n} sees {:?}", world.view(n));
            assert_eq!(world.standing(n), Standing::Held, "seed {seed}");
        }
        world.check_history();
    }
    assert!(evictions > 300, "the walk reaches views: {evictions}");
}

/// As the driver does: an evicted life ends and returns as the next one, and asks to be admitted.
fn reborn(world: &mut World) {
    for n in 0..world.hosts.len() {
        if world.hosts[n].machine.is_member() {
            continue;
        }
        let next = world.hosts[n].incarnation + 1;
        let evicted = world.events.iter().any(|(_, by, event)| {
            *by == n && matches!(event, Event::EvictedSelf { next: to, .. } if to.0 == next)
        });
        if evicted {
            world.restart(n);
        }
        knock(world, n);
    }
}

/// Asks everybody in turn.
fn knock(world: &mut World, n: usize) {
    let me = member(n, world.hosts[n].incarnation);
    for other in 0..world.hosts.len() {
        world.feed(other, Input::Admit(me));
        world.run(Duration::from_millis(30));
        let view = world.view(other);
        if view.contains(me.life) && !world.hosts[n].machine.is_member() {
            world.feed(n, Input::Joined(view));
        }
    }
}
