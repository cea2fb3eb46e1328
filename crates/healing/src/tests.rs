mod links;
mod properties;
mod silence;

use formic_core::{Incarnation, Life, PeerId, Protocol, Time};

use crate::{Config, Effect, Error, Event, Fate, Healing, Input, Message};

fn life(n: u8, incarnation: u64) -> Life {
    Life::new(PeerId::from_bytes([n; 32]), Incarnation(incarnation))
}

fn ms(ms: u64) -> Time {
    Time::from_us(ms * 1_000)
}

fn healing() -> Healing {
    Healing::new(Config::default()).unwrap()
}

fn feed(healing: &mut Healing, at: Time, input: Input) -> Vec<Effect> {
    let mut out = Vec::new();
    healing.handle(at, input, &mut out).unwrap();
    out
}

/// A detector that watches a linked life since time 0.
fn watching(life: Life, fate: Fate) -> Healing {
    let mut healing = healing();
    feed(&mut healing, ms(0), Input::LinkUp { life, fate });
    let out = feed(&mut healing, ms(0), Input::Watch { life });
    assert_eq!(out, [Effect::Event(Event::Up { life })]);
    healing
}

/// Feeds all deadlines in time up to `until`; what happened, with times.
fn run(healing: &mut Healing, until: Time) -> Vec<(Time, Effect)> {
    let mut all = Vec::new();
    while let Some(at) = healing.deadline().filter(|&at| at <= until) {
        // A deadline that passed while other inputs were fed.
        let at = at.max(healing.now());
        all.extend(feed(healing, at, Input::Deadline).into_iter().map(|effect| (at, effect)));
    }
    all
}

fn events(effects: &[(Time, Effect)]) -> Vec<(Time, Event)> {
    let event = |(at, effect): &(Time, Effect)| match effect {
        Effect::Event(event) => Some((*at, *event)),
        Effect::Send { .. } => None,
    };
    effects.iter().filter_map(event).collect()
}

#[test]
fn a_mistaken_caller_is_told() {
    let config = Config { timeout: core::time::Duration::from_millis(150), ..Config::default() };
    assert!(matches!(Healing::new(config), Err(Error::Config { field: "timeout", .. })));
    let mut healing = healing();
    feed(&mut healing, ms(5), Input::Deadline);
    let back = healing.handle(ms(4), Input::Deadline, &mut Vec::new());
    assert_eq!(back, Err(Error::ClockWentBack { last: ms(5), now: ms(4) }));
}

#[test]
fn a_doubled_beat_is_misbehaviour() {
    let peer = life(1, 1);
    let mut healing = watching(peer, Fate::Own);
    let beat = Input::Message { from: peer, message: Message::Beat { seq: 3 } };
    feed(&mut healing, ms(1), beat);
    let before = healing.clone();
    let again = healing.handle(ms(2), beat, &mut Vec::new());
    assert_eq!(again, Err(Error::OldBeat { from: peer, seq: 3, newest: 3 }));
    assert_eq!(healing, before);
}
