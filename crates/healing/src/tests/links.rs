use formic_core::transport::CloseReason;

use super::{events, feed, life, ms, run, watching};
use crate::{Cause, Effect, Event, Fate, Input};

fn down(cause: Cause) -> Vec<Effect> {
    vec![Effect::Event(Event::Down { life: life(1, 1), cause })]
}

#[test]
fn death_inside_a_process_is_reported_at_once() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Shared);
    let gone = Input::LinkDown { life: peer, reason: CloseReason::Gone };
    assert_eq!(feed(&mut healing, ms(1), gone), down(Cause::Gone));
    assert_eq!(feed(&mut healing, ms(2), Input::Heard { life: peer }), [], "dead for good");
}

#[test]
fn a_lost_link_is_no_evidence() {
    let peer = life(1, 1);
    for (fate, reason, at) in [
        (Fate::Own, CloseReason::Lost, 400),
        (Fate::Own, CloseReason::Gone, 400),
        (Fate::Shared, CloseReason::Closed, 450),
    ] {
        let mut healing = watching(peer, fate);
        assert_eq!(feed(&mut healing, ms(50), Input::LinkDown { life: peer, reason }), []);
        let happened = events(&run(&mut healing, ms(3_000)));
        assert_eq!(happened, [(ms(at), Event::Down { life: peer, cause: Cause::Silent })]);
    }
}

#[test]
fn a_link_that_comes_back_in_time_changes_nothing() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Own);
    feed(&mut healing, ms(50), Input::LinkDown { life: peer, reason: CloseReason::Lost });
    run(&mut healing, ms(200));
    let up = Input::LinkUp { life: peer, fate: Fate::Own };
    assert_eq!(feed(&mut healing, ms(200), up), []);
    assert_eq!(events(&run(&mut healing, ms(590))), []);
}

#[test]
fn a_restart_ends_the_old_life_at_once() {
    let old = life(1, 1);
    let mut healing = watching(old, Fate::Own);
    let reason = CloseReason::PeerRestarted;
    let out = feed(&mut healing, ms(1), Input::LinkDown { life: old, reason });
    assert_eq!(out, down(Cause::Restarted));

    let mut healing = watching(old, Fate::Own);
    let new = life(1, 2);
    feed(&mut healing, ms(1), Input::Watch { life: new });
    assert_eq!(healing.belief(old), None);
    let out = feed(&mut healing, ms(2), Input::LinkUp { life: new, fate: Fate::Own });
    assert_eq!(out, [Effect::Event(Event::Up { life: new })]);
    assert_eq!(feed(&mut healing, ms(3), Input::Heard { life: old }), [], "the past is ignored");

    let mut healing = watching(old, Fate::Own);
    let out = feed(&mut healing, ms(1), Input::LinkUp { life: new, fate: Fate::Own });
    let up = Effect::Event(Event::Up { life: new });
    assert_eq!(out, [down(Cause::Restarted)[0], up]);
}

#[test]
fn who_left_is_down_and_stays_down() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Own);
    assert_eq!(feed(&mut healing, ms(1), Input::Left { life: peer }), down(Cause::Left));
    assert_eq!(feed(&mut healing, ms(2), Input::Heard { life: peer }), []);
    assert_eq!(events(&run(&mut healing, ms(3_000))), []);
}
