//! What happens to links and peers.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_one_way_partition_holds_one_direction_until_it_heals() {
    let faults = Faults::legal(1);
    let [(a, at_a), (b, at_b)] = linked(&faults).await;
    faults.one_way([who(1)], [who(2)]);
    send(&a, at_a, Class::Data, 0..64);
    let refused = a.try_send(at_a, Class::Data, 64).unwrap_err();
    assert_eq!(refused.reason, LinkError::Full);
    send(&a, at_a, Class::Unreliable, 0..10);
    send(&b, at_b, Class::Data, 0..100);
    assert_eq!(messages(&quiet(&a).await, Class::Data).len(), 100);
    assert!(quiet(&b).await.is_empty());
    assert_eq!(faults.injected().lost, 10);
    // Who is behind a wall cannot be dialled, from neither side.
    b.close(at_b, CloseReason::Closed).await;
    faults.heal();
    let at_b = quiet(&b).await;
    // The end of the link was on this side, so it was told before what the wall held.
    assert_eq!(downs(&at_b), [CloseReason::Closed]);
    let [(a, at_a), (b, _)] = linked(&faults).await;
    faults.one_way([who(1)], [who(2)]);
    send(&a, at_a, Class::Data, 0..64);
    assert!(a.try_send(at_a, Class::Data, 64).is_err());
    faults.heal();
    assert_eq!(rooms(&next(&a).await), 1);
    send(&a, at_a, Class::Data, 64..70);
    assert_eq!(messages(&quiet(&b).await, Class::Data), (0..70).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_partition_has_sides_that_cannot_dial_each_other() {
    let faults = Faults::legal(1);
    let hub = Hub::new();
    let ends = [1, 2, 3, 4].map(|peer| wrapped(&hub, &faults, peer));
    faults.partition([who(1), who(2)], [who(3), who(4)]);
    link(&ends[0], &ends[1]).await;
    link(&ends[2], &ends[3]).await;
    for (from, to) in [(0, 2), (3, 1)] {
        let addresses = ends[to].addresses();
        let refused = ends[from].connect(ends[to].local().peer, &addresses).await;
        assert!(matches!(refused, Err(ConnectError::Unreachable(_))), "{refused:?}");
        assert!(ends[from].identify(&addresses[0]).await.is_err());
    }
    faults.heal();
    link(&ends[0], &ends[2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_link_is_lost_when_a_partition_lasts() {
    let faults = Faults::legal(1);
    faults.lose_links_after(Some(10_000 * MS));
    let [(a, at_a), (b, _)] = linked(&faults).await;
    let began = Instant::now();
    faults.partition([who(1)], [who(2)]);
    send(&a, at_a, Class::Data, 0..5);
    let (at_a, at_b) = tokio::join!(next(&a), next(&b));
    assert_eq!((downs(&at_a), downs(&at_b)), (vec![CloseReason::Lost], vec![CloseReason::Lost]));
    assert_eq!(began.elapsed(), 10_000 * MS);
    faults.heal();
    let [at_a, _] = link(&a, &b).await;
    send(&a, at_a, Class::Data, 0..5);
    assert_eq!(messages(&quiet(&b).await, Class::Data), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_loses_what_is_on_its_way_and_both_ends_notice() {
    let faults = Faults::legal(1);
    let late = Delay::Uniform { min: 50 * MS, max: 50 * MS };
    faults.weather(weather(|it| it.delay = late)).unwrap();
    let [(a, at_a), (b, _)] = linked(&faults).await;
    send(&a, at_a, Class::Data, 0..5);
    sleep(60 * MS).await;
    assert_eq!(messages(&next(&b).await, Class::Data).len(), 5);
    send(&a, at_a, Class::Data, 5..10);
    faults.cut(who(2), who(1));
    let refused = a.try_send(at_a, Class::Data, 10).unwrap_err();
    assert_eq!(refused.reason, LinkError::Closed(CloseReason::Lost));
    // A dial does not return the link that is ending.
    let again = a.connect(who(2), &b.addresses()).await.unwrap();
    assert_ne!(again, at_a);
    send(&a, again, Class::Data, 20..25);
    for (end, expected) in [(&a, vec![]), (&b, vec![20, 21, 22, 23, 24])] {
        let events = quiet(end).await;
        assert!(matches!(
            events[..2],
            [Event::Down { reason: CloseReason::Lost, .. }, Event::Up { .. }]
        ));
        assert_eq!(messages(&events, Class::Data), expected);
    }
    assert_eq!(faults.injected().cuts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_peer_takes_nothing_and_goes_on_where_it_was() {
    let faults = Faults::legal(1);
    let [(a, at_a), (b, at_b)] = linked(&faults).await;
    faults.stall(who(2));
    let mut sent = 0;
    while a.try_send(at_a, Class::Data, sent).is_ok() {
        sent += 1;
        assert!(sent < 100_000, "nothing slows the sender down");
    }
    assert!(b.try_send(at_b, Class::Data, 0).is_err());
    b.try_send(at_b, Class::Unreliable, 0).unwrap();
    assert!(quiet(&b).await.is_empty());
    faults.resume(who(2));
    let events = quiet(&b).await;
    assert_eq!(messages(&events, Class::Data), (0..sent).collect::<Vec<_>>());
    assert_eq!(rooms(&events), 1);
    let events = quiet(&a).await;
    assert_eq!((rooms(&events), messages(&events, Class::Unreliable)), (1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_takes_so_much_and_no_more() {
    let faults = Faults::legal(1);
    let [(a, at_a), (b, _)] = linked(&faults).await;
    faults.slow(who(2), Some(Pace { events: 3, every: 10 * MS })).unwrap();
    send(&a, at_a, Class::Data, 0..10);
    let began = Instant::now();
    let mut taken = Vec::new();
    while taken.iter().map(|(_, count)| count).sum::<usize>() < 10 {
        let count = next(&b).await.len();
        taken.push((began.elapsed(), count));
    }
    let spans = [0, 10, 20, 30].map(|ms| ms * MS);
    assert_eq!(taken, spans.into_iter().zip([3, 3, 3, 1]).collect::<Vec<_>>());
    faults.slow(who(2), None).unwrap();
    send(&a, at_a, Class::Data, 0..10);
    assert_eq!(next(&b).await.len(), 10);
}

/// What is held belongs to the old life.
#[tokio::test(start_paused = true)]
async fn a_renewed_end_hears_nothing_that_was_held() {
    let faults = Faults::legal(1);
    let [(a, at_a), (b, _)] = linked(&faults).await;
    faults.weather(weather(|it| it.delay = Delay::Uniform { min: 50 * MS, max: 90 * MS })).unwrap();
    send(&a, at_a, Class::Data, 0..5);
    assert!(timeout(MS, next(&b)).await.is_err());
    b.renew(Incarnation(2)).await.unwrap();
    let events = quiet(&b).await;
    assert_eq!((events.len(), downs(&events)), (1, vec![CloseReason::Closed]));
    assert_eq!(downs(&quiet(&a).await), [CloseReason::PeerRestarted]);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_shut_down_hands_out_what_it_holds() {
    let faults = Faults::legal(1);
    let [(a, at_a), (b, _)] = linked(&faults).await;
    faults.weather(weather(|it| it.delay = Delay::Exponential { mean: 60_000 * MS })).unwrap();
    send(&a, at_a, Class::Data, 0..5);
    assert!(timeout(MS, next(&b)).await.is_err());
    let began = Instant::now();
    b.shutdown(Duration::ZERO).await;
    let events = quiet(&b).await;
    assert_eq!(messages(&events, Class::Data), [0, 1, 2, 3, 4]);
    assert_eq!(downs(&events), [CloseReason::ShuttingDown]);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(poll_fn(|cx| b.poll_events(cx, &mut vec![], 1)).await.is_err());
}
