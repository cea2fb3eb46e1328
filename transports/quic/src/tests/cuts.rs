use formic_core::transport::Address;

use super::*;
use crate::Cut;

pub(super) fn socket(address: &Address) -> SocketAddr {
    address.rest("quic").unwrap().parse().unwrap()
}

/// Both ends notice, nobody gets through, and after the heal a dial works at once.
#[tokio::test]
async fn a_cut_network_loses_links_and_heals() {
    let cut = Cut::new();
    let quick = |peer| {
        let mut config = config(peer, 1);
        (config.idle_timeout, config.dial_timeout) =
            (Duration::from_secs(1), Duration::from_millis(300));
        config
    };
    let mut of_a = quick(1);
    of_a.cut = Some(cut.clone());
    let a = Quic::<Message>::bind(of_a).await.unwrap();
    let b = Quic::<Message>::bind(quick(2)).await.unwrap();
    let [at_a, _] = link(&a, &b).await;
    cut.set([socket(&b.addresses()[0])]);
    send(&a, at_a, Class::Control, (1, vec![])).await;
    assert_eq!(downs(&until(&a, is_down).await), [CloseReason::Lost]);
    let at_b = until(&b, is_down).await;
    assert_eq!((downs(&at_b), numbers(&at_b, Class::Control)), (vec![CloseReason::Lost], vec![]));
    assert!(a.connect(b.local().peer, &b.addresses()).await.is_err());
    assert!(b.connect(a.local().peer, &a.addresses()).await.is_err());
    cut.set([]);
    let [at_a, _] = link(&a, &b).await;
    send(&a, at_a, Class::Control, (2, vec![])).await;
    assert_eq!(numbers(&until(&b, is_message).await, Class::Control), [2]);
}
