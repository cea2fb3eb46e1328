use formic_core::transport::{ConnectError, Direction, LinkError, RenewError};

use super::*;
use crate::JoinError;

async fn closed(end: &End) -> bool {
    poll_fn(|cx| end.poll_events(cx, &mut Vec::new(), 1)).await.is_err()
}

#[tokio::test]
async fn a_killed_peer_is_gone_at_once_and_silent() {
    let hub = Hub::new();
    let [(a, at_a), (b, at_b)] = pair(&hub).await;
    a.try_send(at_a, Class::Data, 1).unwrap();
    assert!(hub.kill(life(1, 1)));
    assert!(!hub.kill(life(1, 1)));
    let refused = a.try_send(at_a, Class::Data, 2).unwrap_err();
    assert_eq!(refused.reason, LinkError::Closed(CloseReason::Gone));
    assert!(closed(&a).await);
    assert_eq!(a.connect(life(2, 1).peer, &b.addresses()).await, Err(ConnectError::ShutDown));

    let refused = b.try_send(at_b, Class::Data, 3).unwrap_err();
    assert_eq!(refused.reason, LinkError::Closed(CloseReason::Gone));
    let events = all(&b).await;
    assert_eq!(messages(&events, Class::Data), [1]);
    assert!(matches!(events.last(), Some(Event::Down { reason: CloseReason::Gone, .. })));
    let refused = b.try_send(at_b, Class::Data, 3).unwrap_err();
    assert_eq!(refused.reason, LinkError::Unknown(at_b));
}

#[tokio::test]
async fn dropping_without_shutdown_is_death() {
    let hub = Hub::new();
    let [(a, at_a), (b, _)] = pair(&hub).await;
    a.try_send(at_a, Class::Data, 1).unwrap();
    drop(a);
    assert_eq!(downs(&all(&b).await), [CloseReason::Gone]);
    assert_eq!(
        hub.join(life(1, 1), "x").map(|_| ()),
        Err(JoinError::DuplicateIdentity { life: life(1, 1) })
    );
}

#[tokio::test]
async fn a_restart_is_down_then_up() {
    let hub = Hub::new();
    let [(a, at_a), (b, at_b)] = pair(&hub).await;
    a.try_send(at_a, Class::Bulk, 1).unwrap();
    let reborn = hub.join(life(1, 2), "peer1").unwrap();
    let again = reborn.connect(life(2, 1).peer, &b.addresses()).await.unwrap();
    reborn.try_send(again, Class::Control, 2).unwrap();
    let refused = a.try_send(at_a, Class::Data, 3).unwrap_err();
    assert!(matches!(refused.reason, LinkError::Closed(_)));
    assert!(closed(&a).await);

    let events = all(&b).await;
    let [
        Event::Message { message: 1, .. },
        Event::Down { link: old, reason: CloseReason::PeerRestarted },
        Event::Up { link: new, peer, direction: Direction::Accepted },
        Event::Message { link: from, message: 2, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*old, *peer, from), (at_b, life(1, 2), new));
    assert_ne!(old, new);
}

#[tokio::test]
async fn only_a_newer_life_may_join_again() {
    let hub: Hub<u64> = Hub::new();
    let refused = |life, name| hub.join(life, name).map(|_| ()).unwrap_err();
    let _five = hub.join(life(1, 5), "five").unwrap();
    assert_eq!(refused(life(1, 5), "y"), JoinError::DuplicateIdentity { life: life(1, 5) });
    let stale = JoinError::StaleLife { life: life(1, 4), known: Incarnation(5) };
    assert_eq!(refused(life(1, 4), "y"), stale);
    assert_eq!(refused(life(2, 1), "five"), JoinError::NameTaken { name: "five".into() });
    assert_eq!(refused(life(2, 1), ""), JoinError::BadName { name: String::new() });
    hub.kill(life(1, 5));
    assert_eq!(refused(life(1, 4), "y"), stale, "death does not make an old life young");
    assert!(hub.join(life(2, 1), "five").is_ok());
}

#[tokio::test]
async fn close_delivers_what_was_sent_and_tells_why_once() {
    let [(a, at_a), (b, at_b)] = pair(&Hub::new()).await;
    for class in [Class::Control, Class::Data, Class::Bulk] {
        a.try_send(at_a, class, 1).unwrap();
    }
    a.close(at_a, CloseReason::Closed).await;
    a.close(at_a, CloseReason::Closed).await;
    b.close(at_b, CloseReason::Closed).await;
    assert!(a.try_send(at_a, Class::Data, 2).is_err());
    let events = all(&b).await;
    assert_eq!(events.len(), 4);
    assert!(matches!(events[3], Event::Down { reason: CloseReason::Closed, .. }));
    assert_eq!(downs(&all(&a).await), [CloseReason::Closed]);
}

#[tokio::test]
async fn a_reused_slot_is_another_link() {
    let [(a, first), (b, _)] = pair(&Hub::new()).await;
    a.close(first, CloseReason::Closed).await;
    all(&a).await;
    let second = a.connect(life(2, 1).peer, &b.addresses()).await.unwrap();
    assert_eq!(second.index, first.index);
    assert_ne!(second.generation, first.generation);
    let refused = a.try_send(first, Class::Data, 1).unwrap_err();
    assert_eq!(refused.reason, LinkError::Unknown(first));
}

#[tokio::test]
async fn shutdown_delivers_what_was_accepted() {
    let hub = Hub::new();
    let [(a, at_a), (b, at_b)] = pair(&hub).await;
    b.try_send(at_b, Class::Data, 5).unwrap();
    a.try_send(at_a, Class::Data, 1).unwrap();
    a.shutdown(Duration::from_secs(1)).await;
    a.shutdown(Duration::from_secs(1)).await;
    assert!(a.try_send(at_a, Class::Data, 2).is_err());
    let events = all(&b).await;
    assert_eq!(messages(&events, Class::Data), [1]);
    assert_eq!(downs(&events), [CloseReason::ShuttingDown]);
    assert_eq!(messages(&some(&a, 1).await.unwrap(), Class::Data), [5]);
    assert_eq!(downs(&some(&a, 9).await.unwrap()), [CloseReason::ShuttingDown]);
    assert!(closed(&a).await);
    assert_eq!(
        b.connect(life(1, 1).peer, &a.addresses()).await.map_err(|e| e.to_string()),
        Err("nobody answers at memory:peer1".into())
    );
}

#[tokio::test]
async fn a_dropped_hub_leaks_no_end() {
    let hub = Hub::new();
    let [(a, at_a), (b, _)] = pair(&hub).await;
    let ends = [Arc::downgrade(a.end()), Arc::downgrade(b.end())];
    a.try_send(at_a, Class::Data, 1).unwrap();
    a.shutdown(Duration::ZERO).await;
    drop((a, b));
    assert!(ends.iter().all(|end| end.upgrade().is_none()));
}

#[tokio::test]
async fn a_next_life_in_place_is_down_then_up_for_the_others() {
    let hub = Hub::new();
    let [(a, at_a), (b, at_b)] = pair(&hub).await;
    // One message waits in the inbox, another was swapped out with one that is handed out.
    for class in [Class::Control, Class::Data] {
        b.try_send(at_b, class, 7).unwrap();
    }
    assert_eq!(some(&a, 1).await.unwrap().len(), 1);
    b.try_send(at_b, Class::Bulk, 8).unwrap();
    a.try_send(at_a, Class::Data, 1).unwrap();

    a.renew(Incarnation(2)).await.unwrap();
    assert_eq!(a.local(), life(1, 2));
    let of_old = all(&a).await;
    assert_eq!(downs(&of_old), [CloseReason::Closed]);
    assert_eq!(of_old.len(), 1, "what was sent to the old life was handed out: {of_old:?}");
    assert!(a.try_send(at_a, Class::Data, 2).is_err());
    assert!(b.try_send(at_b, Class::Data, 2).is_err());

    let again = a.connect(life(2, 1).peer, &b.addresses()).await.unwrap();
    a.try_send(again, Class::Data, 3).unwrap();
    let events = all(&b).await;
    let [
        Event::Message { message: 1, .. },
        Event::Down { reason: CloseReason::PeerRestarted, .. },
        Event::Up { peer, .. },
        Event::Message { message: 3, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*peer, life(1, 2));
}

#[tokio::test]
async fn lives_only_go_forward() {
    let hub: Hub<u64> = Hub::new();
    let a = hub.join(life(1, 4), "a").unwrap();
    for refused in [Incarnation(3), Incarnation(4)] {
        let stale = RenewError::NotNewer { refused, current: Incarnation(4) };
        assert_eq!(a.renew(refused).await, Err(stale));
    }
    a.renew(Incarnation(9)).await.unwrap();
    let stale = JoinError::StaleLife { life: life(1, 8), known: Incarnation(9) };
    assert_eq!(hub.join(life(1, 8), "a").map(|_| ()), Err(stale));
    assert!(!hub.kill(life(1, 4)), "the old life was still living");
    assert!(hub.kill(life(1, 9)));
    assert_eq!(a.renew(Incarnation(10)).await, Err(RenewError::ShutDown));
}
