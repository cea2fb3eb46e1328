use core::time::Duration;
use std::sync::Arc;

use formic_core::{Blame as _, Epoch, Fault, Protocol as _, Time, View};

use super::world::{World, life, member, ms};
use crate::{Beat, Config, Cut, Effect, Error, Evidence, Healing, Input, Message};

fn world() -> World {
    let mut world = World::new(12, 1);
    world.run(Duration::from_secs(1));
    world
}

fn refused(world: &mut World, from: usize, message: Message) -> Error {
    let machine = &mut world.hosts[0].machine;
    let (before, mut out) = (machine.clone(), Vec::new());
    let input = Input::Message { from: life(from, 1), message };
    let error = machine.handle(world.now, input, &mut out).unwrap_err();
    assert_eq!((out.len(), &*machine), (0, &before), "an error changes nothing");
    error
}

#[test]
fn a_repeated_beat_is_misbehaviour() {
    let mut world = world();
    let beat = |seq| {
        let (promise_ms, lag_ms) = (100, 0);
        Message::Beat(Beat { epoch: Epoch(1), view: 0, seq, promise_ms, lag_ms, condemned: 0 })
    };
    world.feed(0, Input::Message { from: life(5, 1), message: beat(1_000) });
    let error = refused(&mut world, 5, beat(1_000));
    assert_eq!(error, Error::OldBeat { from: life(5, 1), seq: 1_000, newest: 1_000 });
    assert_eq!(error.fault(), Fault::Peer(life(5, 1).peer));
}

#[test]
fn an_overtaken_beat_is_neither_misbehaviour_nor_a_sign_of_life() {
    let mut world = world();
    let beat = |seq| {
        let (promise_ms, lag_ms) = (100, 0);
        Message::Beat(Beat { epoch: Epoch(1), view: 0, seq, promise_ms, lag_ms, condemned: 0 })
    };
    world.feed(0, Input::Message { from: life(5, 1), message: beat(1_000) });
    let before = format!("{:?}", world.hosts[0].machine);
    world.feed(0, Input::Message { from: life(5, 1), message: beat(999) });
    assert_eq!(format!("{:?}", world.hosts[0].machine), before, "nothing changes");
}

#[test]
fn who_is_asked_again_passes_nothing_on_again() {
    let mut world = world();
    // Neither of them knows who is first in line by now; each takes the other for it.
    let last = world.hosts.len() - 1;
    let asks = |out: &[Effect]| {
        let ask = |it: &&Effect| matches!(it, Effect::Send { message: Message::Ask { .. }, .. });
        out.iter().filter(ask).count()
    };
    let mut ask = |at| {
        let (machine, mut out) = (&mut world.hosts[last].machine, Vec::new());
        let message = Message::Ask { member: member(50, 1) };
        let input = Input::Message { from: life(0, 1), message };
        machine.handle(world.now + at, input, &mut out).unwrap();
        machine.handle(world.now + at, Input::Deadline, &mut out).unwrap();
        asks(&out)
    };
    assert_eq!(ask(Duration::ZERO), 1);
    assert_eq!(ask(Duration::from_micros(50)), 0);
}

#[test]
fn a_verdict_is_recounted() {
    let mut world = world();
    let epoch = world.view(0).epoch;
    let verdict = |alerts: Vec<usize>| Message::Verdict {
        epoch,
        life: life(5, 1),
        evidence: Evidence::Alerts {
            epoch,
            alerts: alerts.into_iter().map(|n| (life(n, 1), 9_999)).collect(),
            lost: vec![],
        },
    };
    let error = refused(&mut world, 3, verdict(vec![1, 2]));
    assert!(matches!(error, Error::BadVerdict { needed: 5, .. }), "{error}");
    let error = refused(&mut world, 3, verdict(vec![1, 1, 1, 1, 1, 1, 1]));
    assert!(matches!(error, Error::BadVerdict { counted: 0 | 1, .. }), "{error}");
}

#[test]
fn an_alert_of_somebody_who_does_not_watch_counts_for_nothing() {
    let mut world = World::new(40, 1);
    world.run(Duration::from_secs(1));
    let epoch = world.view(0).epoch;
    let watch = world.hosts[0].machine.watch.clone().unwrap();
    let subject = watch.place_of(life(7, 1)).unwrap();
    let stranger = (1..40)
        .find(|n| *n != 7 && !watch.watches(watch.place_of(life(*n, 1)).unwrap(), subject))
        .unwrap();
    // Its peer may have to stand in for observers that this one believes in: no lie, but no voice.
    let alert = Message::Alert { epoch, suspects: vec![(life(7, 1), 3)] };
    let machine = &mut world.hosts[0].machine;
    let input = Input::Message { from: life(stranger, 1), message: alert };
    machine.handle(world.now, input, &mut Vec::new()).unwrap();
    assert_eq!(machine.counters().verdicts, 0);
    let own = Message::Alert { epoch, suspects: vec![(life(7, 1), 3)] };
    let error = refused(&mut world, 7, own);
    assert_eq!(error, Error::NotObserver { from: life(7, 1), life: life(7, 1) });
}

#[test]
fn a_cut_that_does_not_fit_is_refused() {
    let mut world = world();
    let view = world.view(0);
    let ballot = |cut: Cut| Message::Ballot {
        epoch: view.epoch,
        base: view.hash(),
        message: formic_register::Message::Decided(Arc::new(cut)),
    };
    let evict = vec![(life(77, 1), crate::Cause::Silent)];
    let error = refused(&mut world, 3, ballot(Cut { evict, admit: vec![] }));
    assert!(matches!(error, Error::BadCut { .. }), "{error}");
    let admit = vec![member(3, 1)];
    let error = refused(&mut world, 3, ballot(Cut { evict: vec![], admit }));
    assert!(matches!(error, Error::BadCut { .. }), "{error}");
}

#[test]
fn who_hears_one_that_is_to_be_evicted_for_silence_objects() {
    let mut world = world();
    let view = world.view(0);
    let duties = world.hosts[0].machine.watch.as_ref().unwrap().duties.clone();
    let heard = *duties.iter().next().unwrap();
    let heard = world.hosts[0].machine.watch.as_ref().unwrap().subject(heard).life();
    let cut = Cut { evict: vec![(heard, crate::Cause::Silent)], admit: vec![] };
    let ballot = formic_register::Ballot { round: 1, rank: 0 };
    let accept = formic_register::Message::Accept { ballot, value: Arc::new(cut) };
    let message = Message::Ballot { epoch: view.epoch, base: view.hash(), message: accept };
    let own = life(0, 1);
    let from = view.lives().find(|life| *life != heard && *life != own).unwrap();
    let (now, mut out) = (world.now, Vec::new());
    world.hosts[0].machine.handle(now, Input::Message { from, message }, &mut out).unwrap();
    let objects = |effect: &Effect| {
        matches!(effect, Effect::Send { to, message: Message::StillHere { life, .. } }
            if *to == from && *life == heard)
    };
    assert!(out.iter().any(objects), "{out:?}");
}

#[test]
fn views_that_do_not_chain_are_refused() {
    let mut world = world();
    let view = world.view(0);
    let next = |epoch| Arc::new(View { epoch: Epoch(epoch), ..(*view).clone() });
    let error = refused(&mut world, 3, Message::Committed { views: vec![next(5), next(6)] });
    assert_eq!(error, Error::Unchained { from: life(3, 1), epoch: Epoch(6) });
}

#[test]
fn a_mistaken_caller_is_told() {
    let config = Config { timeout: Duration::from_millis(150), ..Config::default() };
    let new = Healing::new(config, member(0, 1), formic_core::Random::new(1));
    assert!(matches!(new, Err(Error::Config { field: "timeout", .. })));
    let config = Config { observers: 0, ..Config::default() };
    let new = Healing::new(config, member(0, 1), formic_core::Random::new(1));
    assert!(matches!(new, Err(Error::Count { field: "observers", .. })));
    let mut healing =
        Healing::new(Config::default(), member(0, 1), formic_core::Random::new(1)).unwrap();
    healing.handle(ms(5), Input::Found, &mut Vec::new()).unwrap();
    let back = healing.handle(ms(4), Input::Deadline, &mut Vec::new());
    assert_eq!(back, Err(Error::ClockWentBack { last: ms(5), now: ms(4) }));
    let late = healing.handle(ms(6), Input::Restore(vec![]), &mut Vec::new());
    assert_eq!(late, Err(Error::RestoreNotFirst));
    let view = Arc::new(View::found(member(1, 1)));
    let foreign = healing.handle(Time::from_us(7_000), Input::Joined(view), &mut Vec::new());
    assert_eq!(foreign, Err(Error::NotInView { epoch: Epoch(1) }));
}

#[test]
fn what_is_shown_chains_although_what_was_learnt_did_not() {
    let mut world = world();
    let founded = world.view(0);
    let next = |view: &View, n: usize| {
        let cut = Cut { admit: vec![member(n, 1)], ..Cut::default() };
        Arc::new(cut.apply(view, 1_024).unwrap())
    };
    let second = next(&founded, 20);
    let (third, fourth) = (next(&second, 21), next(&next(&second, 21), 22));
    // Of a peer that joined with the third view, and knows none before.
    let views = vec![third, Arc::clone(&fourth)];
    world.feed(0, Input::Message { from: life(5, 1), message: Message::Committed { views } });
    assert_eq!(world.view(0), fourth);
    let (machine, mut out) = (&mut world.hosts[0].machine, Vec::new());
    let message = Message::Want { epoch: Epoch(0) };
    machine.handle(world.now, Input::Message { from: life(6, 1), message }, &mut out).unwrap();
    let shown = out.into_iter().find_map(|effect| match effect {
        Effect::Send { message: message @ Message::Committed { .. }, .. } => Some(message),
        _ => None,
    });
    world.feed(7, Input::Message { from: life(0, 1), message: shown.unwrap() });
    assert_eq!(world.view(7), fourth, "nobody is blamed for it");
}
