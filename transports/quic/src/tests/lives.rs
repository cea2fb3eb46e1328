use formic_core::transport::{ConnectError, LinkError};

use super::*;

#[tokio::test]
async fn a_killed_peer_that_comes_back_replaces_its_dead_link() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [_, at_b] = link(&a, &b).await;
    // The process is gone without a word: b is told by nobody.
    a.silence();
    let reborn = peer(1, 2).await;
    let again = reborn.connect(b.local().peer, &b.addresses()).await.unwrap();
    reborn.try_send(again, Class::Data, (5, vec![])).unwrap();
    let events = until(&b, is_message).await;
    let [
        Event::Down { link: old, reason: CloseReason::PeerRestarted },
        Event::Up { link: new, peer, .. },
        Event::Message { link: from, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*old, *peer, from), (at_b, life(1, 2), new));
    let refused = b.try_send(at_b, Class::Data, (0, vec![])).unwrap_err();
    assert_eq!(refused.reason, LinkError::Unknown(at_b));
}

#[tokio::test]
async fn an_older_life_is_refused_and_the_running_one_is_told() {
    let [old, b] = [peer(1, 1).await, peer(2, 1).await];
    link(&old, &b).await;
    let new = peer(1, 2).await;
    new.connect(b.local().peer, &b.addresses()).await.unwrap();
    assert_eq!(downs(&until(&old, is_down).await), [CloseReason::StaleLife]);
    let refused = old.connect(b.local().peer, &b.addresses()).await;
    assert_eq!(refused, Err(ConnectError::Refused(CloseReason::StaleLife)));
}

#[tokio::test]
async fn a_clone_of_a_living_identity_is_refused() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, _] = link(&a, &b).await;
    let clone = peer(1, 1).await;
    let refused = clone.connect(b.local().peer, &b.addresses()).await;
    assert_eq!(refused, Err(ConnectError::Refused(CloseReason::DuplicateIdentity)));
    a.try_send(at_a, Class::Data, (3, vec![])).unwrap();
    assert_eq!(numbers(&until(&b, is_message).await, Class::Data), [3]);
}

#[tokio::test]
async fn close_flushes_and_its_reason_reaches_the_peer() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, _] = link(&a, &b).await;
    for number in 0..1_000 {
        a.try_send(at_a, Class::Bulk, (number, vec![0; 500])).unwrap();
    }
    let (events, ()) = tokio::join!(until(&b, is_down), a.close(at_a, CloseReason::Closed));
    assert_eq!(numbers(&events, Class::Bulk), (0..1_000).collect::<Vec<_>>());
    assert_eq!(downs(&events), [CloseReason::Closed]);
    assert!(is_down(events.last().unwrap()));
    assert_eq!(downs(&until(&a, is_down).await), [CloseReason::Closed]);
    a.close(at_a, CloseReason::Closed).await;

    let again = a.connect(b.local().peer, &b.addresses()).await.unwrap();
    assert_ne!(again, at_a);
    let refused = a.try_send(at_a, Class::Data, (0, vec![])).unwrap_err();
    assert_eq!(refused.reason, LinkError::Unknown(at_a));
}

#[tokio::test]
async fn shutdown_delivers_what_was_accepted() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, _] = link(&a, &b).await;
    for number in 0..1_000 {
        a.try_send(at_a, Class::Data, (number, vec![0; 500])).unwrap();
    }
    let (events, ()) = tokio::join!(until(&b, is_down), a.shutdown(WATCHDOG));
    assert_eq!(numbers(&events, Class::Data), (0..1_000).collect::<Vec<_>>());
    assert_eq!(downs(&events), [CloseReason::ShuttingDown]);
    assert!(a.try_send(at_a, Class::Data, (0, vec![])).is_err());
    let refused = a.connect(b.local().peer, &b.addresses()).await;
    assert_eq!(refused, Err(ConnectError::ShutDown));
    assert_eq!(downs(&until(&a, is_down).await), [CloseReason::ShuttingDown]);
    assert!(some(&a).await.is_err());
    a.shutdown(WATCHDOG).await;
}

#[tokio::test]
async fn ten_peers_of_one_process_share_a_thread() {
    let runtime = QuicRuntime::new().unwrap();
    let mut peers = Vec::new();
    for number in 1..=10 {
        let mut config = config(number, 1);
        config.runtime = Some(runtime.clone());
        peers.push(Quic::<Message>::bind(config).await.unwrap());
    }
    let hub = peers[0].clone();
    for spoke in &peers[1..] {
        let at_spoke = spoke.connect(hub.local().peer, &hub.addresses()).await.unwrap();
        spoke.try_send(at_spoke, Class::Data, (1, vec![])).unwrap();
    }
    let mut count = 0;
    while count < 9 {
        count += some(&hub).await.unwrap().iter().filter(|event| is_message(event)).count();
    }
}
