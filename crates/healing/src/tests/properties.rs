use std::collections::BTreeMap;

use formic_core::{Life, PeerId, Protocol, Time, transport::CloseReason};
use proptest::prelude::*;

use super::life;
use crate::{Config, Effect, Event, Fate, Healing, Input, Message};

fn input() -> impl Strategy<Value = Input> {
    (0_u8..9, 0_u8..3, 1_u64..4, 0_u64..50).prop_map(|(what, n, incarnation, seq)| {
        let life = life(n, incarnation);
        let fate = if seq % 2 == 0 { Fate::Own } else { Fate::Shared };
        match what {
            0 => Input::Watch { life },
            1 if seq == 0 => Input::Forget { life },
            1 | 2 => Input::LinkUp { life, fate },
            3 => Input::LinkDown { life, reason: CloseReason::Lost },
            4 if seq % 3 == 0 => Input::LinkDown { life, reason: CloseReason::Gone },
            4 => Input::LinkDown { life, reason: CloseReason::PeerRestarted },
            5 => Input::Message { from: life, message: Message::Beat { seq } },
            6 if seq % 5 == 0 => Input::Left { life },
            6 => Input::Heard { life },
            _ => Input::Deadline,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn verdicts_alternate(inputs in proptest::collection::vec((input(), 0_u64..200_000), 0..200)) {
        let mut healing = Healing::new(Config::default()).unwrap();
        let mut up: BTreeMap<Life, bool> = BTreeMap::new();
        let mut newest: BTreeMap<PeerId, Life> = BTreeMap::new();
        let mut now = 0;
        for (input, pause) in inputs {
            now += pause;
            if let Input::Forget { life } = input {
                up.remove(&life);
                newest.remove(&life.peer);
            }
            let mut out = Vec::new();
            let before = healing.clone();
            if healing.handle(Time::from_us(now), input, &mut out).is_err() {
                prop_assert_eq!(&healing, &before);
                prop_assert!(out.is_empty());
            }
            for effect in out {
                let Effect::Event(event) = effect else { continue };
                let (life, is_up) = match event {
                    Event::Up { life } => (life, true),
                    Event::Down { life, .. } => (life, false),
                };
                prop_assert_eq!(up.insert(life, is_up).unwrap_or(false), !is_up);
                let last = newest.insert(life.peer, life).unwrap_or(life);
                prop_assert!(last.incarnation <= life.incarnation);
            }
        }
    }
}
