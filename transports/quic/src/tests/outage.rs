//! Links through a relay that can be cut.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use formic_core::transport::{Address, ConnectError};
use tokio::{net::UdpSocket, task::JoinSet};

use super::*;

/// Forwards packets of one dialer to one peer, unless it is cut.
struct Relay {
    address: Address,
    cut: Arc<AtomicBool>,
    /// Ends with the relay.
    _forwarding: JoinSet<()>,
}

impl Relay {
    async fn to(end: &End) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        back.connect(end.addresses()[0].rest("quic").unwrap()).await.unwrap();
        let address = Address::new("quic", &front.local_addr().unwrap().to_string());
        let cut = Arc::new(AtomicBool::new(false));
        let mut forwarding = JoinSet::new();
        forwarding.spawn(forward(front, back, Arc::clone(&cut)));
        Self { address, cut, _forwarding: forwarding }
    }

    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
}

async fn forward(front: UdpSocket, back: UdpSocket, cut: Arc<AtomicBool>) {
    let (mut there, mut here) = ([0; 2_048], [0; 2_048]);
    let mut dialer = None;
    loop {
        tokio::select! {
            Ok((size, from)) = front.recv_from(&mut there) => {
                dialer = Some(from);
                if !cut.load(Ordering::SeqCst) {
                    back.send(&there[..size]).await.ok();
                }
            }
            Ok(size) = back.recv(&mut here) => {
                if let Some(dialer) = dialer && !cut.load(Ordering::SeqCst) {
                    front.send_to(&here[..size], dialer).await.ok();
                }
            }
        }
    }
}

/// A peer that notices an outage as early as the configuration allows.
async fn watchful(number: u8) -> End {
    let mut config = config(number, 1);
    config.idle_timeout = Duration::from_secs(1);
    Quic::bind(config).await.unwrap()
}

#[tokio::test]
async fn a_cut_link_is_lost_at_both_ends_and_redialled_at_once_when_the_cut_heals() {
    let [a, b] = [watchful(1).await, watchful(2).await];
    let relay = Relay::to(&b).await;
    let (of_b, at) = (b.local().peer, [relay.address.clone()]);
    let first = a.connect(of_b, &at).await.unwrap();
    assert_eq!(up(&a).await.0, first);
    let (at_b, _) = up(&b).await;

    relay.cut();
    // Both have something to say, and neither hears anything.
    a.try_send(first, Class::Control, (1, vec![])).unwrap();
    b.try_send(at_b, Class::Control, (2, vec![])).unwrap();
    for end in [&a, &b] {
        let events = until(end, is_down).await;
        assert_eq!(downs(&events), [CloseReason::Lost]);
        assert_eq!(numbers(&events, Class::Control), [0; 0]);
    }
    // A dial into the cut gives up, so that it is not what a later one shares and waits for.
    let unreachable = ConnectError::Unreachable(relay.address.clone());
    for _ in 0..3 {
        assert_eq!(a.connect(of_b, &at).await, Err(unreachable.clone()));
        assert_eq!(a.identify(&relay.address).await, Err(unreachable.clone()));
    }

    relay.heal();
    let again = a.connect(of_b, &at).await.unwrap();
    assert_eq!(up(&a).await, (again, b.local()));
    assert_eq!(up(&b).await.1, a.local());
    a.try_send(again, Class::Control, (3, vec![])).unwrap();
    assert_eq!(numbers(&until(&b, is_message).await, Class::Control), [3]);
}

#[tokio::test]
async fn a_link_that_outlived_its_other_half_is_replaced_after_the_cut() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let relay = Relay::to(&b).await;
    let at = [relay.address.clone()];
    let first = a.connect(b.local().peer, &at).await.unwrap();
    up(&a).await;
    let (at_b, _) = up(&b).await;
    relay.cut();
    // The goodbye is lost: b still believes in the link.
    a.close(first, CloseReason::Closed).await;
    assert_eq!(downs(&until(&a, is_down).await), [CloseReason::Closed]);
    relay.heal();
    let again = a.connect(b.local().peer, &at).await.unwrap();
    a.try_send(again, Class::Data, (4, vec![])).unwrap();
    let events = until(&b, is_message).await;
    // By the goodbye, said again to its first packet after the cut, or by the new link: whichever is first.
    assert!(matches!(events[0], Event::Down { link, .. } if link == at_b), "{events:?}");
    assert_eq!(numbers(&events, Class::Data), [4]);
}

/// Both ends took so many pulses to find nobody.
async fn pulsed(ends: [&End; 2], times: u64) {
    let missing = || ends.iter().any(|end| end.counters().pulses < times);
    let pulses = async {
        while missing() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WATCHDOG, pulses).await.expect("a dark link is pulsed");
}

/// What the ends of a link agree on while they exchange numbers.
#[derive(Default)]
struct Course {
    /// The cut is over: nothing more is sent.
    healed: AtomicBool,
    /// How many each end sent in all, and 1 more; 0 as long as it sends.
    sent: [AtomicUsize; 2],
}

/// Sends numbers as long as the course goes, and collects those of the other end until all are there.
async fn exchange(end: &End, link: LinkId, (at, course): (usize, &Course)) -> Vec<Event<Message>> {
    let (mut seen, mut sent) = (Vec::new(), 0);
    loop {
        let sending = !course.healed.load(Ordering::SeqCst);
        // Not until it is full: where the link drains as fast, nothing else in this task would have its turn.
        let burst = if sending { sent..sent + 256 } else { sent..sent };
        let took = |number: &u64| end.try_send(link, Class::Data, (*number, vec![9; 200])).is_ok();
        sent += burst.take_while(took).count() as u64;
        if !sending {
            course.sent[at].store(usize::try_from(sent).unwrap() + 1, Ordering::SeqCst);
        }
        let mut out = Vec::new();
        let polled = poll_fn(|cx| end.poll_events(cx, &mut out, 256));
        // The course changes without an event.
        drop(tokio::time::timeout(Duration::from_millis(5), polled).await);
        seen.append(&mut out);
        let all = course.sent[1 - at].load(Ordering::SeqCst);
        let done = course.sent[at].load(Ordering::SeqCst) > 0;
        if done && all > 0 && numbers(&seen, Class::Data).len() >= all - 1 {
            return seen;
        }
    }
}

/// Numbered streams both ways over a link whose network is cut while they are full: the link stays, nothing is lost,
/// doubled or out of order, and both ends go on asking for the network instead of waiting longer and longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_outlives_a_cut_without_loss_or_duplicates() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let relay = Relay::to(&b).await;
    let at_a = a.connect(b.local().peer, core::slice::from_ref(&relay.address)).await.unwrap();
    up(&a).await;
    let (at_b, _) = up(&b).await;
    let course = Course::default();
    let weather = async {
        while a.counters().received[1] < 1_000 || b.counters().received[1] < 1_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        relay.cut();
        // Some 2 s: QUIC's own probes are a second and more apart by then.
        pulsed([&a, &b], 10).await;
        let count = || [&a, &b].map(|end| (end.counters().received[1], end.counters().pulses));
        let before = count();
        relay.heal();
        while count().iter().zip(&before).any(|(now, before)| now.0 <= before.0 + 1_000) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for (now, before) in count().iter().zip(&before) {
            // The first is heard, and the other end's echo is answered.
            assert!(now.1 <= before.1 + 4, "{before:?}, then {now:?}");
        }
        course.healed.store(true, Ordering::SeqCst);
    };
    let both = async {
        let of_a = exchange(&a, at_a, (0, &course));
        tokio::join!(of_a, exchange(&b, at_b, (1, &course)), weather)
    };
    let (at_a, at_b, ()) = tokio::time::timeout(WATCHDOG, both).await.expect("it goes on");
    for (end, events, all) in [(&a, at_a, &course.sent[1]), (&b, at_b, &course.sent[0])] {
        assert_eq!(downs(&events), []);
        let all = u64::try_from(all.load(Ordering::SeqCst)).unwrap() - 1;
        assert!(all >= 1_000 && numbers(&events, Class::Data).into_iter().eq(0..all));
        assert_eq!(end.counters().links_up, 1);
    }
}

/// Only who has something to say asks whether it can be heard, and only while it cannot.
#[tokio::test]
async fn an_idle_link_is_not_pulsed_in_a_cut() {
    let [a, b] = [peer(1, 1).await, peer(2, 1).await];
    let relay = Relay::to(&b).await;
    let at_a = a.connect(b.local().peer, core::slice::from_ref(&relay.address)).await.unwrap();
    up(&a).await;
    up(&b).await;
    send(&a, at_a, Class::Control, (1, vec![])).await;
    until(&b, is_message).await;
    // It is acknowledged, and both ends rest.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    relay.cut();
    let before = [a.counters().pulses, b.counters().pulses];
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!([a.counters().pulses, b.counters().pulses], before);
    send(&a, at_a, Class::Control, (2, vec![])).await;
    pulsed([&a, &a], before[0] + 3).await;
    assert_eq!(b.counters().pulses, before[1]);
    relay.heal();
    assert_eq!(numbers(&until(&b, is_message).await, Class::Control), [2]);
}
