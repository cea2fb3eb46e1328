//! Faults over this transport, in virtual time.

use std::sync::Arc;

use formic_core::{
    PeerId,
    transport::{ConnectError, Contract, LinkError},
};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::{
    Delay, FaultError, Faults, Faulty, NoRuntime, OnFull, OnReconnect, Pace, Rates, Storm, Weather,
};

mod hostile;
mod knobs;
mod legal;
mod network;

type Wrapped = Arc<Faulty<u64>>;

const MS: Duration = Duration::from_millis(1);

fn who(peer: u8) -> PeerId {
    life(peer, 1).peer
}

fn wrapped(hub: &Hub<u64>, faults: &Faults, peer: u8) -> Wrapped {
    let end = hub.join(life(peer, 1), &format!("peer{peer}")).unwrap();
    Faulty::around(end, faults).unwrap()
}

/// At least one event.
async fn next(end: &Wrapped) -> Vec<Event<u64>> {
    let mut out = Vec::new();
    let polled = poll_fn(|cx| end.poll_events(cx, &mut out, 1_000));
    timeout(Duration::from_secs(600), polled).await.expect("no event").unwrap();
    out
}

/// All that comes until nothing has come for a second of virtual time.
async fn quiet(end: &Wrapped) -> Vec<Event<u64>> {
    let mut all = Vec::new();
    let mut out = Vec::new();
    while let Ok(Ok(_)) =
        timeout(1_000 * MS, poll_fn(|cx| end.poll_events(cx, &mut out, 1_000))).await
    {
        all.append(&mut out);
    }
    all
}

/// Two linked ends whose `Up`s are taken.
async fn linked(faults: &Faults) -> [(Wrapped, LinkId); 2] {
    let hub = Hub::new();
    let [a, b] = [1, 2].map(|peer| wrapped(&hub, faults, peer));
    let [at_a, at_b] = link(&a, &b).await;
    [(a, at_a), (b, at_b)]
}

async fn link(a: &Wrapped, b: &Wrapped) -> [LinkId; 2] {
    let at_a = a.connect(b.local().peer, &b.addresses()).await.unwrap();
    let Event::Up { link, .. } = next(a).await.remove(0) else { panic!() };
    assert_eq!(link, at_a);
    let Event::Up { link: at_b, .. } = next(b).await.remove(0) else { panic!() };
    [at_a, at_b]
}

fn send(end: &Wrapped, link: LinkId, class: Class, numbers: core::ops::Range<u64>) {
    for number in numbers {
        end.try_send(link, class, number).unwrap();
    }
}

fn weather(edit: impl FnOnce(&mut Weather)) -> Weather {
    let mut weather = Weather::default();
    edit(&mut weather);
    weather
}

fn rates(loss: u16, duplicate: u16, reorder: u16) -> Rates {
    Rates { loss, duplicate, reorder }
}

fn rooms(events: &[Event<u64>]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Writable { .. })).count()
}
