//! Shared by the test files: peers that collect their events.

use core::{future::poll_fn, num::NonZeroU32, time::Duration};
use std::sync::Arc;

use formic_core::{
    Incarnation, Life, PeerId,
    transport::{Class, CloseReason, Closed, Event, LinkId, Transport as _},
};

use crate::{Config, Hub, Memory};

mod delivery;
mod faulty;
mod lives;
mod pressure;

type End = Arc<Memory<u64>>;

const RELIABLE: [Class; 3] = [Class::Control, Class::Data, Class::Bulk];

fn life(peer: u8, incarnation: u64) -> Life {
    Life::new(PeerId::from_bytes([peer; 32]), Incarnation(incarnation))
}

/// Bounds of 4 for every class.
fn small() -> Hub<u64> {
    let four = NonZeroU32::new(4).unwrap();
    let config = Config { control: four, data: four, bulk: four, unreliable: four };
    Hub::with_config(config).unwrap()
}

/// At least one and at most `max` events.
async fn some(end: &End, max: usize) -> Result<Vec<Event<u64>>, Closed> {
    let mut out = Vec::new();
    let polled = poll_fn(|cx| end.poll_events(cx, &mut out, max));
    let count = tokio::time::timeout(Duration::from_secs(60), polled).await.expect("no event")?;
    assert_eq!(count, out.len());
    assert!((1..=max).contains(&count));
    Ok(out)
}

/// All that waits now.
async fn all(end: &End) -> Vec<Event<u64>> {
    let mut events = Vec::new();
    loop {
        let before = events.len();
        let _ = poll_fn(|cx| {
            core::task::Poll::Ready(end.poll_events(cx, &mut events, 1_000).is_ready())
        })
        .await;
        if events.len() == before {
            return events;
        }
    }
}

/// Two linked peers whose `Up`s are taken, with the link at each.
async fn pair(hub: &Hub<u64>) -> [(End, LinkId); 2] {
    let [a, b] = [1, 2].map(|peer| hub.join(life(peer, 1), &format!("peer{peer}")).unwrap());
    let at_a = a.connect(life(2, 1).peer, &b.addresses()).await.unwrap();
    let Event::Up { link, peer, .. } = some(&a, 1).await.unwrap().remove(0) else { panic!() };
    assert_eq!((link, peer), (at_a, life(2, 1)));
    let Event::Up { link: at_b, peer, .. } = some(&b, 1).await.unwrap().remove(0) else { panic!() };
    assert_eq!(peer, life(1, 1));
    [(a, at_a), (b, at_b)]
}

fn messages(events: &[Event<u64>], of: Class) -> Vec<u64> {
    let pick = |event: &Event<u64>| match event {
        Event::Message { class, message, .. } if *class == of => Some(*message),
        _ => None,
    };
    events.iter().filter_map(pick).collect()
}

fn downs(events: &[Event<u64>]) -> Vec<CloseReason> {
    let pick = |event: &Event<u64>| match event {
        Event::Down { reason, .. } => Some(*reason),
        _ => None,
    };
    events.iter().filter_map(pick).collect()
}
