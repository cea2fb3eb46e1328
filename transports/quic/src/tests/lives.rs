use formic_core::transport::{ConnectError, LinkError, RenewError};

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

#[tokio::test]
async fn a_next_life_in_place_is_down_then_up_for_the_others() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, at_b] = link(&a, &b).await;
    for number in 0..100 {
        b.try_send(at_b, Class::Data, (number, vec![])).unwrap();
    }
    // All of it is here; one message is handed out, the rest belongs to the life that ends now.
    while a.counters().bytes_received == 0 {
        let mut out = Vec::new();
        poll_fn(|cx| a.poll_events(cx, &mut out, 1)).await.unwrap();
    }
    a.renew(Incarnation(2)).await.unwrap();
    assert_eq!(a.local(), life(1, 2));
    let of_old = until(&a, is_down).await;
    assert_eq!(downs(&of_old), [CloseReason::Closed]);
    assert_eq!(numbers(&of_old, Class::Data), [0; 0], "the new life got messages of the old one");
    assert!(a.try_send(at_a, Class::Data, (0, vec![])).is_err());

    let events = until(&b, is_down).await;
    assert_eq!(downs(&events), [CloseReason::PeerRestarted], "the old life's end is known at once");
    // Either side may open the new link.
    let again = b.connect(a.local().peer, &a.addresses()).await.unwrap();
    assert_eq!(up(&b).await, (again, life(1, 2)));
    b.try_send(again, Class::Data, (5, vec![])).unwrap();
    assert_eq!(numbers(&until(&a, is_message).await, Class::Data), [5]);
}

#[tokio::test]
async fn the_next_life_of_a_peer_whose_goodbye_was_lost_replaces_its_dead_link() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, at_b] = link(&a, &b).await;
    // The socket moves with its peer's links, but the close of the old life goes nowhere.
    a.silence();
    a.renew(Incarnation(2)).await.unwrap();
    assert_eq!(downs(&until(&a, is_down).await), [CloseReason::Closed]);
    assert_eq!(
        a.try_send(at_a, Class::Data, (0, vec![])).unwrap_err().reason,
        LinkError::Unknown(at_a)
    );
    let again = a.connect(b.local().peer, &b.addresses()).await.unwrap();
    a.try_send(again, Class::Data, (6, vec![])).unwrap();
    let events = until(&b, is_message).await;
    assert!(
        matches!(&events[..], [
            Event::Down { link, reason: CloseReason::PeerRestarted },
            Event::Up { peer, .. },
            Event::Message { .. },
        ] if *link == at_b && *peer == life(1, 2)),
        "{events:?}"
    );
}

#[tokio::test]
async fn handshakes_across_a_renewal_never_bring_the_old_life_up() {
    for delay in 0..60_u64 {
        let (number, other) = if delay % 2 == 0 { (1, 2) } else { (2, 1) };
        let [a, b] = [peer(number, 1).await, peer(other, 1).await];
        let renewal = async {
            tokio::time::sleep(Duration::from_micros(delay * 50)).await;
            a.renew(Incarnation(2)).await.unwrap();
        };
        let [at_a, at_b] = [a.addresses(), b.addresses()];
        let dials = (a.connect(b.local().peer, &at_b), b.connect(a.local().peer, &at_a));
        let (_, _, ()) = tokio::join!(dials.0, dials.1, renewal);
        let (at_b, seen) = settled(&a, &b).await;
        let lives: Vec<_> = seen.iter().filter_map(life_of).collect();
        assert!(lives.is_sorted_by_key(|life| life.incarnation), "delay {delay}: {seen:?}");
        // A link that only one side believed in would end by the idle timeout.
        assert!(!downs(&seen).contains(&CloseReason::Lost), "delay {delay}: {seen:?}");
        b.try_send(at_b, Class::Data, (delay, vec![])).unwrap();
        assert_eq!(numbers(&until(&a, is_message).await, Class::Data), [delay]);
    }
}

fn life_of(event: &Event<Message>) -> Option<Life> {
    match event {
        Event::Up { peer, .. } => Some(*peer),
        _ => None,
    }
}

/// Dials until the link is one of `a`'s next life: `b` may be up with the old one until its close arrives. Returns what
/// happened at `b` on the way.
async fn settled(a: &End, b: &End) -> (LinkId, Vec<Event<Message>>) {
    let mut seen = Vec::new();
    loop {
        let link = b.connect(a.local().peer, &a.addresses()).await.unwrap();
        let ends =
            |event: &Event<Message>| matches!(event, Event::Down { link: of, .. } if *of == link);
        let serves = |event: &Event<Message>| matches!(event, Event::Up { link: of, peer, .. } if (*of, *peer) == (link, a.local()));
        while !seen.iter().any(|event| ends(event) || serves(event)) {
            seen.extend(some(b).await.unwrap());
        }
        if !seen.iter().any(ends) {
            return (link, seen);
        }
    }
}

#[tokio::test]
async fn lives_only_go_forward() {
    let a = peer(1, 4).await;
    for refused in [Incarnation(3), Incarnation(4)] {
        let stale = RenewError::NotNewer { refused, current: Incarnation(4) };
        assert_eq!(a.renew(refused).await, Err(stale));
    }
    a.shutdown(Duration::ZERO).await;
    assert_eq!(a.renew(Incarnation(5)).await, Err(RenewError::ShutDown));
    assert_eq!(a.local(), life(1, 4));
}
