use tokio::task::JoinSet;

use super::*;

#[tokio::test]
async fn echo_in_both_directions() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, at_b] = link(&a, &b).await;
    for class in [Class::Control, Class::Data, Class::Bulk, Class::Unreliable] {
        a.try_send(at_a, class, (7, b"ping".to_vec())).unwrap();
        assert_eq!(numbers(&until(&b, is_message).await, class), [7]);
        b.try_send(at_b, class, (8, b"pong".to_vec())).unwrap();
        assert_eq!(numbers(&until(&a, is_message).await, class), [8]);
    }
    assert_eq!(a.counters().sent, [1; 4]);
    assert_eq!(a.counters().received, [1; 4]);
    assert_eq!(a.counters().bytes_sent, b.counters().bytes_received);
}

const COUNT: u64 = 100_000;

async fn send_all(from: &End, link: LinkId, class: Class) {
    for number in 0..COUNT {
        send(from, link, class, (number, vec![0xab; 56])).await;
    }
}

fn check(event: &Event<Message>, next: &mut [u64; 3]) {
    if let Event::Message { class, message, .. } = event {
        assert_eq!(message.0, next[*class as usize], "of {class:?}");
        assert_eq!(message.1, [0xab; 56]);
        next[*class as usize] += 1;
    }
}

#[tokio::test]
async fn a_hundred_thousand_arrive_in_order_per_class() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, _] = link(&a, &b).await;
    let mut tasks = JoinSet::new();
    for class in RELIABLE {
        let a = Arc::clone(&a);
        tasks.spawn(async move { send_all(&a, at_a, class).await });
    }
    let mut next = [0; 3];
    while next != [COUNT; 3] {
        some(&b).await.unwrap().iter().for_each(|event| check(event, &mut next));
    }
    tasks.join_all().await;
    assert_eq!(b.counters().received[..3], [COUNT; 3]);
}

#[tokio::test]
async fn the_empty_and_the_largest_message_arrive() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, _] = link(&a, &b).await;
    for (class, max) in
        RELIABLE.into_iter().chain([Class::Unreliable]).zip(a.capabilities().max_message)
    {
        // A number and a length stand before the payload: 1 and at most 5 bytes.
        let payload = vec![1; max - 6];
        a.try_send(at_a, class, (1, payload.clone())).unwrap();
        let events = until(&b, is_message).await;
        let [Event::Message { message, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(message.1.len(), payload.len());
        a.try_send(at_a, class, (0, vec![])).unwrap();
        assert_eq!(numbers(&until(&b, is_message).await, class), [0]);
    }
}

#[tokio::test]
async fn datagrams_arrive_at_most_once() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, _] = link(&a, &b).await;
    for number in 0..2_000 {
        a.try_send(at_a, Class::Unreliable, (number, vec![0; 100])).unwrap();
    }
    // The last of another class: datagrams may be lost, so only it says when to stop.
    let mut seen = Vec::new();
    a.try_send(at_a, Class::Data, (0, vec![])).unwrap();
    let last = |event: &Event<Message>| matches!(event, Event::Message { class: Class::Data, .. });
    seen.extend(numbers(&until(&b, last).await, Class::Unreliable));
    let mut unique = seen.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), seen.len());
    // How many fit depends on the machine; what was dropped here cannot have arrived.
    assert!(unique.len() as u64 + a.counters().dropped_unreliable <= 2_000);
}
