//! Several peers of one process: what one of them sees, and says, for the others.

use core::time::Duration;

use formic_core::{Member, Protocol as _, transport::CloseReason};

use super::world::{World, life, member};
use crate::{Config, Effect, Fate, Input, Message, Standing};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn whom_no_link_ever_reached_in_the_only_process_is_missed() {
    let mut world = World::in_processes(1, 0, 1);
    world.add_host(0);
    world.feed(0, Input::Found);
    let late = Member { life: life(1, 1), fate: member(0, 1).fate };
    world.feed(0, Input::Admit(late));
    world.run(SECOND);
    assert!(world.view(0).contains(late.life));
    world.run(SECOND * 2);
    assert!(!world.view(0).contains(late.life), "it ended before there was a link");
}

#[test]
fn who_ends_without_a_link_in_the_only_process_is_missed() {
    let mut world = World::in_processes(2, 2, 1);
    world.run(SECOND * 5);
    let lost = CloseReason::Lost;
    world.feed(0, Input::LinkDown { life: life(1, 1), reason: lost });
    world.run(SECOND);
    world.feed(0, Input::LinkUp { life: life(1, 1), fate: Fate::Own });
    world.run(SECOND * 5);
    assert!(world.view(0).contains(life(1, 1)), "it is linked again");
    world.crash(1);
    world.feed(0, Input::LinkDown { life: life(1, 1), reason: lost });
    world.run(SECOND);
    assert!(world.view(0).contains(life(1, 1)), "it may dial");
    world.run(SECOND * 2);
    assert!(!world.view(0).contains(life(1, 1)));
    world.check_history();
}

#[test]
fn the_only_process_left_evicts_all_others_if_it_is_a_majority() {
    for seed in 0..10 {
        let mut world = World::in_processes(2, 6, seed);
        // Two votes of the first process, and its anchor, are half of four.
        world.run(SECOND);
        world.crash(3);
        world.crash(5);
        world.run(SECOND * 3);
        assert_eq!(world.view(0).members.len(), 4, "seed {seed}");
        world.crash(2);
        world.crash(4);
        world.run(SECOND * 3);
        for n in [0, 1] {
            assert_eq!(world.view(n).members.len(), 2, "seed {seed}, {n}");
            assert_eq!(world.standing(n), Standing::Held);
        }
        world.check_history();
    }
}

#[test]
fn every_peer_of_a_process_that_is_left_without_a_majority_knows() {
    for (seed, pause) in [0, 50, 150, 300, 600, 900].into_iter().enumerate() {
        let mut world = World::in_processes(2, 6, seed as u64);
        world.run(SECOND);
        [4, 5].into_iter().for_each(|n| world.crash(n));
        world.run(Duration::from_millis(pause));
        [2, 3].into_iter().for_each(|n| world.crash(n));
        world.run(Duration::from_millis(1_200));
        // Whether the first two were evicted in time decides whether the others are a majority.
        let held = world.view(0).members.len() < 6;
        for n in [0, 1] {
            assert_eq!(world.standing(n) == Standing::Held, held, "pause {pause}, {n}");
        }
    }
}

#[test]
fn another_peer_of_its_process_speaks_for_a_dead_observer() {
    for (one, other) in [(2, 4), (2, 5), (3, 4), (3, 5), (1, 3), (1, 4)] {
        let mut world = World::in_processes(2, 6, 7);
        world.run(SECOND);
        let at = world.now;
        [one, other].into_iter().for_each(|n| world.crash(n));
        world.run(SECOND * 3);
        for dead in [one, other] {
            let last = world.downs(dead, at).into_iter().max().unwrap();
            assert!(last <= SECOND * 2, "{one} and {other}: {last:?}");
        }
        assert_eq!(world.view(0).members.len(), 4, "{one} and {other}");
    }
}

#[test]
fn whoever_is_often_late_still_misses_one_that_never_came() {
    let mut world = World::new(3, 1);
    world.run(SECOND);
    world.feed(0, Input::Admit(member(9, 1)));
    world.run(Duration::from_millis(100));
    assert!((0..3).all(|n| world.view(n).contains(life(9, 1))));
    for _ in 0..4 {
        (0..3).for_each(|n| world.stall(n, Duration::from_millis(80)));
        world.run(SECOND);
    }
    assert!((0..3).all(|n| !world.view(n).contains(life(9, 1))), "its time to dial is over");
}

#[test]
fn an_outsider_shows_the_newest_view_to_whom_it_turns_away() {
    let mut world = World::with(3, 1, Config::default());
    world.run(SECOND);
    world.crash(2);
    world.run(SECOND * 2);
    let newest = world.view(1);
    assert_eq!(newest.members.len(), 2);
    let (machine, mut out) = (&mut world.hosts[1].machine, Vec::new());
    machine.handle(world.now, Input::Kin { life: life(2, 2) }, &mut out).unwrap();
    let shown =
        Effect::Send { to: life(2, 2), message: Message::Committed { views: vec![newest] } };
    assert!(out.contains(&shown), "{out:?}");
}
