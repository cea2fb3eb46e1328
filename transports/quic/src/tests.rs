//! Shared by the test files: peers on loopback that collect their events.

use core::{future::poll_fn, net::SocketAddr, time::Duration};
use std::sync::Arc;

use formic_core::{
    Incarnation, Life,
    transport::{Class, CloseReason, Closed, Event, LinkId, Transport as _},
};
use formic_identity::SecretKey;

use crate::{Config, Quic, QuicRuntime};

mod abuse;
mod cuts;
mod delivery;
mod dialing;
mod lives;
mod membership;
mod outage;
mod pressure;
mod strangers;

/// A number and some payload.
type Message = (u64, Vec<u8>);
type End = Arc<Quic<Message>>;

const RELIABLE: [Class; 3] = [Class::Control, Class::Data, Class::Bulk];

/// Nothing here takes this long; a test that waits longer hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

fn secret(peer: u8) -> SecretKey {
    SecretKey::from_seed([peer; 32])
}

fn life(peer: u8, incarnation: u64) -> Life {
    Life::new(secret(peer).public().peer_id(), Incarnation(incarnation))
}

fn config(peer: u8, incarnation: u64) -> Config {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Config::new(listen, life(peer, incarnation), secret(peer))
}

async fn peer(peer: u8, incarnation: u64) -> End {
    Quic::bind(config(peer, incarnation)).await.unwrap()
}

/// At least one event.
async fn some(end: &End) -> Result<Vec<Event<Message>>, Closed> {
    let mut out = Vec::new();
    let polled = poll_fn(|cx| end.poll_events(cx, &mut out, 256));
    tokio::time::timeout(WATCHDOG, polled).await.expect("no event within the watchdog")?;
    Ok(out)
}

/// Events until `enough` says so.
async fn until(end: &End, mut enough: impl FnMut(&Event<Message>) -> bool) -> Vec<Event<Message>> {
    let mut events = Vec::new();
    loop {
        let batch = some(end).await.expect("closed too early");
        let found = batch.iter().any(&mut enough);
        events.extend(batch);
        if found {
            return events;
        }
    }
}

fn is_down(event: &Event<Message>) -> bool {
    matches!(event, Event::Down { .. })
}

fn is_message(event: &Event<Message>) -> bool {
    matches!(event, Event::Message { .. })
}

/// The `Up` that comes first.
async fn up(end: &End) -> (LinkId, Life) {
    let mut events = some(end).await.unwrap();
    match events.remove(0) {
        Event::Up { link, peer, .. } if events.is_empty() => (link, peer),
        other => panic!("{other:?}, then {events:?}"),
    }
}

/// Links two peers; both have taken their `Up`.
async fn link(a: &End, b: &End) -> [LinkId; 2] {
    let at_a = a.connect(b.local().peer, &b.addresses()).await.unwrap();
    assert_eq!(up(a).await, (at_a, b.local()));
    let (at_b, peer) = up(b).await;
    assert_eq!(peer, a.local());
    [at_a, at_b]
}

async fn send(from: &End, link: LinkId, class: Class, message: Message) {
    let mut message = message;
    while let Err(refused) = from.try_send(link, class, message) {
        assert_eq!(refused.reason, formic_core::transport::LinkError::Full);
        message = refused.message;
        poll_fn(|cx| from.poll_ready(link, class, cx)).await.unwrap();
    }
}

fn numbers(events: &[Event<Message>], of: Class) -> Vec<u64> {
    let pick = |event: &Event<Message>| match event {
        Event::Message { class, message, .. } if *class == of => Some(message.0),
        _ => None,
    };
    events.iter().filter_map(pick).collect()
}

fn downs(events: &[Event<Message>]) -> Vec<CloseReason> {
    let pick = |event: &Event<Message>| match event {
        Event::Down { reason, .. } => Some(*reason),
        _ => None,
    };
    events.iter().filter_map(pick).collect()
}
