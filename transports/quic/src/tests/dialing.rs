use std::collections::BTreeSet;

use formic_core::{
    Random,
    transport::{Address, ConnectError},
};

use super::*;

#[tokio::test]
async fn a_dial_that_cannot_work_says_why() {
    let [a, b, c] = [peer(1, 1).await, peer(2, 1).await, peer(3, 1).await];
    let of_b = b.local().peer;
    let wrong = ConnectError::WrongPeer { expected: of_b, found: c.local().peer };
    assert_eq!(a.connect(of_b, &c.addresses()).await, Err(wrong));
    assert_eq!(a.connect(of_b, &a.addresses()).await, Err(ConnectError::SelfDial));
    assert_eq!(a.connect(a.local().peer, &a.addresses()).await, Err(ConnectError::SelfDial));
    assert_eq!(a.connect(of_b, &[]).await, Err(ConnectError::NoAddress));
    let foreign = [Address::new("memory", "b")];
    assert_eq!(a.connect(of_b, &foreign).await, Err(ConnectError::NoAddress));
    let nowhere = Address::new("quic", "nowhere");
    let unreachable = Err(ConnectError::Unreachable(nowhere.clone()));
    assert_eq!(a.connect(of_b, &[nowhere]).await, unreachable);
    let mixed = [c.addresses(), b.addresses()].concat();
    assert!(a.connect(of_b, &mixed).await.is_ok());
    assert_eq!(c.counters().links_up, 0);
}

#[tokio::test]
async fn a_dead_address_fails_after_the_dial_timeout() {
    let mut config = config(1, 1);
    config.dial_timeout = Duration::from_millis(200);
    let a = Quic::<Message>::bind(config).await.unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let dead = Address::new("quic", &silent.local_addr().unwrap().to_string());
    let unreachable = ConnectError::Unreachable(dead.clone());
    assert_eq!(a.identify(&dead).await, Err(unreachable.clone()));
    assert_eq!(a.connect(life(2, 1).peer, &[dead]).await, Err(unreachable));
}

#[tokio::test]
async fn identify_proves_who_answers_and_leaves_no_link() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    assert_eq!(a.identify(&b.addresses()[0]).await, Ok(b.local().peer));
    assert_eq!(a.identify(&Address::new("memory", "b")).await, Err(ConnectError::NoAddress));
    let [_, _] = link(&a, &b).await;
    assert_eq!((a.counters().links_up, b.counters().links_up), (1, 1));
}

#[tokio::test]
async fn concurrent_connects_share_one_link() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let dial = || async { a.connect(b.local().peer, &b.addresses()).await.unwrap() };
    let (first, second, third) = tokio::join!(dial(), dial(), dial());
    assert_eq!((first, second), (second, third));
    assert_eq!(first, dial().await);
    assert_eq!(a.counters().links_up, 1);
}

/// Both dial at once, with delays drawn from the seed; each sends at once over what it got.
async fn double_dial(seed: u64, [a, b]: [&End; 2]) {
    let mut random = Random::new(seed);
    let mut dial = |from: End, to: End| {
        let yields = random.below(40);
        async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            let link = from.connect(to.local().peer, &to.addresses()).await.unwrap();
            from.try_send(link, Class::Data, (seed, vec![])).unwrap();
            link
        }
    };
    let (first, second) = (dial(a.clone(), b.clone()), dial(b.clone(), a.clone()));
    let links = tokio::join!(first, second);
    for (end, link) in [(a, links.0), (b, links.1)] {
        let events = until(end, is_message).await;
        let [Event::Up { link: up, .. }, Event::Message { link: from, message, .. }] = &events[..]
        else {
            panic!("seed {seed}: {events:?}")
        };
        assert_eq!((*up, *from, message.0), (link, link, seed), "seed {seed}");
    }
    let ((), left, right) =
        tokio::join!(a.close(links.0, CloseReason::Closed), until(a, is_down), until(b, is_down));
    assert_eq!((left.len(), right.len()), (1, 1), "seed {seed}");
}

#[tokio::test]
async fn both_dial_at_once_200_seeds() {
    let runtime = QuicRuntime::new().unwrap();
    let mut ends = Vec::new();
    for number in [1, 2] {
        let mut config = config(number, 1);
        // With one thread for both the order of packets varies most; with two, the timing.
        config.runtime = Some(runtime.clone());
        ends.push(Quic::bind(config).await.unwrap());
    }
    let apart = [peer(3, 1).await, peer(4, 1).await];
    for seed in 0..100 {
        double_dial(seed, [&ends[0], &ends[1]]).await;
        double_dial(seed + 100, [&apart[0], &apart[1]]).await;
    }
    for end in ends.iter().chain(&apart) {
        assert_eq!(end.counters().links_up, 100);
        assert_eq!(end.counters().received[Class::Data as usize], 100);
    }
}

/// Of two pending dials exactly one is answered, and if that one fails the other serves.
#[test]
fn the_smaller_peers_dial_wins_unless_it_fails() {
    use crate::dial::{Contact, Hearing, Outcome, Verdict};
    let mut ids = [life(1, 1).peer, life(2, 1).peer];
    ids.sort_unstable();
    let [small, large] = ids;
    let mut verdicts = BTreeSet::new();
    for (me, from) in [(small, large), (large, small)] {
        let mut contact = Contact::default();
        contact.dialing = true;
        contact.meet(Incarnation(1), [0; 16]).unwrap();
        verdicts.insert(contact.on_hello(me, from, Hearing::First) == Verdict::Answer);
        let waits = contact.on_hello_ack(me, from) == Outcome::Wait;
        assert_eq!(waits, contact.answered > 0, "an answered Hello goes first");
        contact.answered = 0;
        assert_eq!(contact.on_hello_ack(me, from), Outcome::Up, "the winner failed");
    }
    assert_eq!(verdicts.len(), 2, "exactly one of the two answers");
}
