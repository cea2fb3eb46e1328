use formic_core::Protocol;

use super::{events, feed, healing, life, ms, run, watching};
use crate::{Cause, Effect, Event, Fate, Input, Message};

#[test]
fn silence_is_down_after_the_timeout() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Own);
    let happened = run(&mut healing, ms(2_000));
    let down = Event::Down { life: peer, cause: Cause::Silent };
    assert_eq!(events(&happened), [(ms(400), down)]);
    let beats = happened.iter().filter(|(_, e)| matches!(e, Effect::Send { .. })).count();
    assert_eq!(beats, 21, "beats go on: the other side may live and wait for them");
}

#[test]
fn whoever_is_heard_stays_up() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Own);
    let mut happened = Vec::new();
    for i in 1..=20 {
        happened.extend(run(&mut healing, ms(i * 350)));
        feed(&mut healing, ms(i * 350), Input::Heard { life: peer });
    }
    assert_eq!(events(&happened), []);
}

#[test]
fn whoever_is_heard_again_is_up_again() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Own);
    run(&mut healing, ms(1_000));
    let beat = Input::Message { from: peer, message: Message::Beat { seq: 1 } };
    assert_eq!(feed(&mut healing, ms(1_000), beat), [Effect::Event(Event::Up { life: peer })]);
    let down = Event::Down { life: peer, cause: Cause::Silent };
    assert_eq!(events(&run(&mut healing, ms(2_000))), [(ms(1_400), down)]);
}

#[test]
fn who_stalled_accuses_nobody() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Own);
    run(&mut healing, ms(300));
    // The next deadline is at 400 ms; the process is frozen until 1,400 ms.
    let woken = feed(&mut healing, ms(1_400), Input::Deadline);
    assert!(woken.iter().all(|effect| matches!(effect, Effect::Send { .. })), "{woken:?}");
    let down = Event::Down { life: peer, cause: Cause::Silent };
    assert_eq!(events(&run(&mut healing, ms(3_000))), [(ms(1_800), down)]);
}

#[test]
fn nobody_to_watch_costs_nothing() {
    let mut healing = healing();
    feed(&mut healing, ms(0), Input::LinkUp { life: life(1, 1), fate: Fate::Own });
    assert_eq!(run(&mut healing, ms(10_000)), [], "a client is not watched");
    let mut healing = watching(life(1, 1), Fate::Shared);
    let happened = run(&mut healing, ms(10_000));
    assert_eq!(happened, [], "no beats inside a process");
    assert!(healing.deadline().is_none());
}

#[test]
fn who_was_never_heard_is_not_reported() {
    let mut healing = healing();
    feed(&mut healing, ms(0), Input::Watch { life: life(1, 1) });
    assert_eq!(run(&mut healing, ms(5_000)), []);
}
