use core::task::Poll;

use formic_core::transport::LinkError;

use super::*;

#[tokio::test]
async fn full_returns_the_message_and_writable_follows() {
    let mut small = config(1, 1);
    small.queue = [64 << 10; 3];
    small.max_message = [4 << 10; 3];
    small.stream_window = 64 << 10;
    let mut slow = config(2, 1);
    slow.stream_window = 64 << 10;
    slow.inbox = 64 << 10;
    let [a, b]: [End; 2] = [Quic::bind(small).await.unwrap(), Quic::bind(slow).await.unwrap()];
    let [at_a, at_b] = link(&a, &b).await;
    // b takes nothing: inbox, window and queue fill one after the other.
    let mut accepted = 0;
    let mut quiet = 0;
    while quiet < 50 {
        match a.try_send(at_a, Class::Data, (accepted, vec![0; 1_000])) {
            Ok(()) => (accepted, quiet) = (accepted + 1, 0),
            Err(refused) => {
                assert_eq!((refused.message.0, refused.reason), (accepted, LinkError::Full));
                quiet += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }
    let pending = poll_fn(|cx| Poll::Ready(a.poll_ready(at_a, Class::Data, cx).is_pending())).await;
    assert!(pending);
    assert!(accepted < 1_000, "1 MB waits somewhere");
    // The other classes and the other direction are not blocked.
    a.try_send(at_a, Class::Control, (1, vec![])).unwrap();
    b.try_send(at_b, Class::Data, (2, vec![])).unwrap();
    assert_eq!(numbers(&until(&a, is_message).await, Class::Data), [2]);

    let mut received = Vec::new();
    let mut control = Vec::new();
    while received.len() as u64 != accepted || control.is_empty() {
        let events = some(&b).await.unwrap();
        received.extend(numbers(&events, Class::Data));
        control.extend(numbers(&events, Class::Control));
    }
    assert_eq!(received, (0..accepted).collect::<Vec<_>>());
    let writable =
        |event: &Event<Message>| matches!(event, Event::Writable { class: Class::Data, .. });
    until(&a, writable).await;
    a.try_send(at_a, Class::Data, (0, vec![])).unwrap();
}

#[tokio::test]
async fn too_large_returns_the_message_with_both_sizes() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let [at_a, _] = link(&a, &b).await;
    for class in [Class::Control, Class::Data, Class::Bulk, Class::Unreliable] {
        let limit = a.capabilities().max_message[class as usize];
        let refused = a.try_send(at_a, class, (9, vec![0; limit])).unwrap_err();
        assert_eq!(refused.message, (9, vec![0; limit]));
        let LinkError::TooLarge { size, limit: told } = refused.reason else { panic!() };
        assert!(size > limit && told == limit, "{size} {told}");
    }
    a.try_send(at_a, Class::Control, (1, vec![])).unwrap();
    assert_eq!(numbers(&until(&b, is_message).await, Class::Control), [1]);
}
