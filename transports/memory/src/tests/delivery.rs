use std::collections::VecDeque;

use formic_core::transport::{Address, ConnectError, LinkError};
use tokio::task::JoinSet;

use super::*;

async fn send(from: &End, link: LinkId, class: Class, message: u64) {
    while let Err(refused) = from.try_send(link, class, message) {
        assert_eq!((refused.message, refused.reason), (message, LinkError::Full));
        poll_fn(|cx| from.poll_ready(link, class, cx)).await.unwrap();
    }
}

const COUNT: u64 = 333_334;

async fn send_all(from: &End, link: LinkId, class: Class) {
    for message in 0..COUNT {
        send(from, link, class, message).await;
    }
}

fn check(event: &Event<u64>, next: &mut [u64; 3]) {
    let Event::Message { class, message, .. } = event else { panic!("{event:?}") };
    assert_eq!(*message, next[*class as usize]);
    next[*class as usize] += 1;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_million_arrive_in_order_per_class() {
    let [(a, link), (b, _)] = pair(&Hub::new()).await;
    let mut tasks = JoinSet::new();
    for class in RELIABLE {
        let a = Arc::clone(&a);
        tasks.spawn(async move {
            send_all(&a, link, class).await;
        });
    }
    let mut next = [0; 3];
    while next != [COUNT; 3] {
        for event in some(&b, 256).await.unwrap() {
            check(&event, &mut next);
        }
    }
    tasks.join_all().await;
    assert_eq!(b.counters().received[..3], [COUNT; 3]);
    assert_eq!(a.counters().sent[..3], [COUNT; 3]);
}

#[tokio::test]
async fn both_directions_and_only_the_linked_peer() {
    let hub = Hub::new();
    let [(a, at_a), (b, at_b)] = pair(&hub).await;
    let c = hub.join(life(3, 1), "c").unwrap();
    a.try_send(at_a, Class::Data, 1).unwrap();
    b.try_send(at_b, Class::Data, 2).unwrap();
    assert_eq!(messages(&all(&b).await, Class::Data), [1]);
    assert_eq!(messages(&all(&a).await, Class::Data), [2]);
    assert!(all(&c).await.is_empty());
}

#[tokio::test]
async fn a_batch_is_taken_from_the_front() {
    let [(a, link), (b, _)] = pair(&small()).await;
    let mut queue: VecDeque<u64> = (0..6).collect();
    assert_eq!(a.try_send_batch(link, Class::Bulk, &mut queue), Ok(4));
    assert_eq!(queue, [4, 5]);
    assert_eq!(a.try_send_batch(link, Class::Bulk, &mut queue), Err(LinkError::Full));
    assert_eq!(queue, [4, 5]);
    assert_eq!(messages(&all(&b).await, Class::Bulk), [0, 1, 2, 3]);
    assert_eq!(a.try_send_batch(link, Class::Bulk, &mut queue), Ok(2));
    assert_eq!(messages(&all(&b).await, Class::Bulk), [4, 5]);
    assert_eq!(a.try_send_batch(link, Class::Bulk, &mut VecDeque::new()), Ok(0));
}

#[tokio::test]
async fn control_goes_first_but_a_quarter_is_for_the_rest() {
    let [(a, link), (b, _)] = pair(&Hub::new()).await;
    for message in 0..100 {
        a.try_send(link, Class::Data, message).unwrap();
        a.try_send(link, Class::Control, message).unwrap();
    }
    let events = some(&b, 40).await.unwrap();
    assert_eq!(messages(&events, Class::Control), (0..30).collect::<Vec<_>>());
    assert_eq!(messages(&events, Class::Data), (0..10).collect::<Vec<_>>());
    let rest = all(&b).await;
    assert_eq!(messages(&rest, Class::Control), (30..100).collect::<Vec<_>>());
    assert_eq!(messages(&rest, Class::Data), (10..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_foreign_link_id_is_refused() {
    let [(a, link), _b] = pair(&Hub::new()).await;
    let forged = [
        LinkId { index: link.index + 1, ..link },
        LinkId { generation: link.generation.saturating_add(1), ..link },
        LinkId { index: u32::MAX, generation: NonZeroU32::MAX },
    ];
    for id in forged {
        let refused = a.try_send(id, Class::Control, 7).unwrap_err();
        assert_eq!((refused.message, refused.reason), (7, LinkError::Unknown(id)));
    }
}

#[tokio::test]
async fn a_dial_that_cannot_work_says_why() {
    let hub = Hub::new();
    let [(a, link), (b, _)] = pair(&hub).await;
    let (peer, nobody) = (life(2, 1).peer, Address::new("memory", "nobody"));
    let foreign = Address::new("quic", "127.0.0.1:1");
    assert_eq!(a.connect(peer, &b.addresses()).await, Ok(link));
    let c = hub.join(life(3, 1), "c").unwrap();
    assert_eq!(c.connect(peer, &[]).await, Err(ConnectError::NoAddress));
    assert_eq!(
        c.connect(peer, core::slice::from_ref(&foreign)).await,
        Err(ConnectError::NoAddress)
    );
    let unreachable = Err(ConnectError::Unreachable(nobody.clone()));
    assert_eq!(c.connect(peer, core::slice::from_ref(&nobody)).await, unreachable);
    let wrong = ConnectError::WrongPeer { expected: peer, found: life(1, 1).peer };
    assert_eq!(c.connect(peer, &a.addresses()).await, Err(wrong));
    assert_eq!(c.connect(life(3, 1).peer, &c.addresses()).await, Err(ConnectError::SelfDial));
    assert_eq!(c.identify(&b.addresses()[0]).await, Ok(peer));
    assert_eq!(c.identify(&nobody).await, Err(ConnectError::Unreachable(nobody.clone())));
    assert_eq!(c.identify(&foreign).await, Err(ConnectError::NoAddress));
    assert!(all(&c).await.is_empty(), "a failed dial is no event");
    let mixed = [foreign, nobody, b.addresses().remove(0)];
    assert!(c.connect(peer, &mixed).await.is_ok());
}
