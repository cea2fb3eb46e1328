//! Links through a relay that can be cut.

use std::sync::atomic::{AtomicBool, Ordering};

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
