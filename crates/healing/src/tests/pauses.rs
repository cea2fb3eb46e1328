use core::time::Duration;

use super::world::{World, life};
use crate::{Event, Input, PauseRefusal};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_announced_pause_is_no_death() {
    let mut world = World::new(10, 6);
    world.run(SECOND);
    world.feed(3, Input::Pause(SECOND * 10));
    world.run(Duration::from_millis(50));
    let granted = Event::PauseGranted { span: SECOND * 10 };
    assert!(world.events.iter().any(|(_, by, event)| *by == 3 && *event == granted));
    world.stall(3, SECOND * 9);
    world.run(SECOND * 9);
    world.feed(3, Input::Resume);
    world.run(SECOND * 2);
    assert_eq!(world.false_downs(), 0);
    let resumed = Event::Resumed { life: life(3, 1) };
    assert_eq!(world.events.iter().filter(|(_, _, event)| *event == resumed).count(), 9);
}

#[test]
fn a_pause_that_overruns_is_one() {
    let mut world = World::new(10, 6);
    world.run(SECOND);
    world.feed(3, Input::Pause(SECOND * 2));
    world.run(Duration::from_millis(50));
    world.crash(3);
    let at = world.now;
    world.run(SECOND * 4);
    let first = world.downs(3, at).into_iter().min().unwrap();
    assert!(first >= SECOND * 2, "{first:?}");
}

#[test]
fn too_long_or_too_often_is_refused() {
    let mut world = World::new(3, 6);
    world.run(SECOND);
    let last = |world: &World| world.events.last().map(|(_, _, event)| event.clone());
    let too_long = Event::PauseRefused { reason: PauseRefusal::TooLong { max: SECOND * 60 } };
    world.feed(0, Input::Pause(SECOND * 61));
    assert_eq!(last(&world), Some(too_long.clone()));
    for _ in 0..2 {
        world.feed(0, Input::Pause(SECOND * 60));
        world.run(Duration::from_millis(10));
        world.feed(0, Input::Resume);
        world.run(SECOND);
    }
    world.feed(0, Input::Pause(SECOND));
    assert_eq!(last(&world), Some(too_long));
}

#[test]
fn without_answers_it_is_refused() {
    let mut world = World::new(5, 6);
    world.run(SECOND);
    world.split(&[0]);
    world.feed(0, Input::Pause(SECOND));
    world.run(SECOND);
    let refused = Event::PauseRefused { reason: PauseRefusal::NoAnswer };
    assert!(world.events.iter().any(|(_, by, event)| *by == 0 && *event == refused));
}
