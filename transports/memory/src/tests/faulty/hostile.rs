//! Faults that break the contract, for protocols that claim to survive them.

use super::*;

#[tokio::test(start_paused = true)]
async fn reliable_messages_are_lost_doubled_and_reordered() {
    for (edit, injured) in [(rates(300, 0, 0), 0), (rates(0, 300, 0), 1), (rates(0, 0, 300), 2)] {
        let faults = Faults::hostile(5);
        faults.weather(weather(|it| it.reliable = edit)).unwrap();
        let [(a, at_a), (b, _)] = linked(&faults).await;
        for class in RELIABLE {
            send(&a, at_a, class, 0..200);
        }
        let events = quiet(&b).await;
        let found = RELIABLE.map(|class| messages(&events, class));
        let did = faults.injected();
        let counts = [did.lost, did.duplicated, did.reordered];
        assert!(counts[injured] > 100, "{did:?}");
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), 1, "{did:?}");
        let arrived: u64 = found.iter().map(|numbers| numbers.len() as u64).sum();
        assert_eq!(arrived, 600 - did.lost + did.duplicated);
        assert!(injured != 2 || found.iter().all(|numbers| !numbers.is_sorted()));
    }
}

/// Late messages overtake each other.
#[tokio::test(start_paused = true)]
async fn a_hostile_delay_keeps_no_order() {
    let faults = Faults::hostile(5);
    faults.weather(weather(|it| it.delay = Delay::Exponential { mean: 10 * MS })).unwrap();
    let [(a, at_a), (b, _)] = linked(&faults).await;
    send(&a, at_a, Class::Data, 0..100);
    let mut found = messages(&quiet(&b).await, Class::Data);
    assert!(!found.is_sorted());
    found.sort_unstable();
    assert_eq!(found, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_hostile_partition_loses_what_a_legal_one_holds() {
    let faults = Faults::hostile(5);
    let [(a, at_a), (b, _)] = linked(&faults).await;
    faults.partition([who(1)], [who(2)]);
    send(&a, at_a, Class::Data, 0..500);
    faults.heal();
    send(&a, at_a, Class::Data, 500..510);
    assert_eq!(messages(&quiet(&b).await, Class::Data), (500..510).collect::<Vec<_>>());
    assert_eq!(faults.injected().lost, 500);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_swallows_and_a_new_link_replays() {
    let faults = Faults::hostile(5);
    let hostile = weather(|it| {
        it.on_full = OnFull::Lose;
        it.on_reconnect = OnReconnect::Replay;
    });
    faults.weather(hostile).unwrap();
    let [(a, at_a), (b, _)] = linked(&faults).await;
    send(&a, at_a, Class::Bulk, 0..1_000);
    let found = messages(&quiet(&b).await, Class::Bulk);
    assert_eq!(found.len() as u64 + faults.injected().lost, 1_000);
    assert!(faults.injected().lost > 0);
    faults.cut(who(1), who(2));
    quiet(&a).await;
    quiet(&b).await;
    a.connect(who(2), &b.addresses()).await.unwrap();
    assert_eq!(messages(&quiet(&b).await, Class::Bulk), found[found.len() - 1..]);
}
