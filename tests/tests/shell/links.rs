//! What every transport promises about links (transport.md, K1 to K6).

use std::{future::poll_fn, time::Duration};

use formic::{
    JobId, Message,
    transport::{Class, CloseReason, Event, LinkError, LinkId},
};
use formic_identity::SecretKey;
use formic_node::Request;

use crate::fixture::{End, Fixture};

const CLASSES: [Class; 3] = [Class::Control, Class::Data, Class::Bulk];
const PER_CLASS: usize = 10_000;

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_seed([byte; 32])
}

fn message(text: String) -> Message {
    Message::Request(Request::Cancel { job: JobId::from_bytes([0; 16]), reason: text })
}

/// `None` for what was not sent by [`message`].
fn text(message: Message) -> Option<String> {
    match message {
        Message::Request(Request::Cancel { reason, .. }) => Some(reason),
        _ => None,
    }
}

/// Asserts that a message of a class is the next one of that class.
fn count(next: &mut [usize; 3], event: Event<Message>) {
    if let Event::Message { class, message, .. } = event {
        let at = CLASSES.iter().position(|known| *known == class).unwrap();
        assert_eq!(text(message), Some(next[at].to_string()), "{class:?}");
        next[at] += 1;
    }
}

async fn events(end: &End) -> Vec<Event<Message>> {
    let mut events = Vec::new();
    poll_fn(|cx| end.poll_events(cx, &mut events, 256)).await.unwrap();
    events
}

async fn send(end: &End, link: LinkId, class: Class, mut message: Message) {
    while let Err(refused) = end.try_send(link, class, message) {
        assert_eq!(refused.reason, LinkError::Full);
        message = refused.message;
        poll_fn(|cx| end.poll_ready(link, class, cx)).await.unwrap();
    }
}

pub(crate) async fn ten_thousand_in_order_in_each_class(fixture: Fixture) {
    let (a, b) = (fixture.life(&secret(1), 1).await, fixture.life(&secret(2), 1).await);
    let link = a.connect(b.local().peer, &b.addresses()).await.unwrap();
    let sender = async {
        for number in 0..PER_CLASS {
            for class in CLASSES {
                send(&a, link, class, message(number.to_string())).await;
            }
        }
    };
    let receiver = async {
        let mut next = [0; 3];
        while next != [PER_CLASS; 3] {
            for event in events(&b).await {
                count(&mut next, event);
            }
        }
    };
    tokio::join!(sender, receiver);
}

pub(crate) async fn a_successor_replaces_its_older_life(fixture: Fixture) {
    let a = fixture.life(&secret(1), 1).await;
    let old = fixture.life(&secret(2), 1).await;
    a.connect(old.local().peer, &old.addresses()).await.unwrap();
    assert!(matches!(&events(&a).await[..], [Event::Up { peer, .. }] if *peer == old.local()));
    let new = fixture.life(&secret(2), 2).await;
    new.connect(a.local().peer, &a.addresses()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(events(&a).await);
    }
    let down = CloseReason::PeerRestarted;
    assert!(matches!(&seen[0], Event::Down { reason, .. } if *reason == down), "{seen:?}");
    assert!(matches!(&seen[1], Event::Up { peer, .. } if *peer == new.local()), "{seen:?}");
}

pub(crate) async fn too_large_comes_back(fixture: Fixture) {
    let (a, b) = (fixture.life(&secret(1), 1).await, fixture.life(&secret(2), 1).await);
    let limit = a.capabilities().max_message[0];
    let link = a.connect(b.local().peer, &b.addresses()).await.unwrap();
    let large = message("x".repeat(100 * 1_024));
    let sent = a.try_send(link, Class::Control, large.clone());
    if limit == usize::MAX {
        assert!(sent.is_ok(), "a transport without a limit refuses nothing for its size");
        return;
    }
    let refused = sent.unwrap_err();
    assert_eq!(refused.message, large);
    assert!(matches!(refused.reason, LinkError::TooLarge { limit: said, .. } if said == limit));
    send(&a, link, Class::Control, message("small".to_owned())).await;
    loop {
        let arrived = events(&b).await.into_iter().find_map(|event| match event {
            Event::Message { message, .. } => text(message),
            _ => None,
        });
        if let Some(arrived) = arrived {
            assert_eq!(arrived, "small");
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
