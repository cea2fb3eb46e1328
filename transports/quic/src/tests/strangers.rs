//! Connections that are not made by this crate's own dialer.

use formic_core::transport::{Flaw, Misbehaviour};
use quinn::{Connection, ConnectionError, SendStream, TransportConfig};

use super::*;
use crate::{
    BindError,
    frame::{self, Deframer, Hello, Ready},
    tls,
};

/// A connection that shows the key of `shown` and signs with that of `signing`.
pub(super) async fn dial(to: &End, shown: u8, signing: u8) -> Result<Connection, ConnectionError> {
    let key = tls::shown_as(&secret(shown).public(), &secret(signing)).unwrap();
    let mut client = tls::client(tls::Proof::raw(key)).unwrap();
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(WATCHDOG.try_into().unwrap()));
    client.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = to.addresses()[0].rest("quic").unwrap().parse().unwrap();
    endpoint.connect_with(client, address, tls::SERVER_NAME).unwrap().await
}

fn hello(incarnation: u64) -> Hello {
    Hello { versions: (1, 1), incarnation, fate: [9; 16] }
}

async fn control(connection: &Connection, hello: &Hello) -> SendStream {
    let mut send = connection.open_uni().await.unwrap();
    send.write_all(&frame::preamble(Class::Control)).await.unwrap();
    send.write_all(&frame::of_link(hello).unwrap()).await.unwrap();
    send
}

/// A link to `to` in the hands of the test.
pub(super) async fn stranger(to: &End) -> (Connection, SendStream) {
    let connection = dial(to, 9, 9).await.unwrap();
    let mut send = control(&connection, &hello(1)).await;
    let _answer = connection.accept_uni().await.unwrap();
    send.write_all(&frame::of_link(&Ready).unwrap()).await.unwrap();
    let (_, peer) = up(to).await;
    assert_eq!(peer, life(9, 1));
    (connection, send)
}

/// Why the other side closed.
async fn told(connection: &Connection) -> CloseReason {
    let closed = tokio::time::timeout(WATCHDOG, connection.closed()).await.expect("still open");
    crate::hello::reason(&closed)
}

#[tokio::test]
async fn a_stolen_public_key_is_refused() {
    let b = peer(2, 1).await;
    if let Ok(connection) = dial(&b, 1, 9).await {
        // A TLS 1.3 client is done before the server has judged it.
        assert_eq!(told(&connection).await, CloseReason::NotAdmitted(Flaw::Invalid));
        assert!(matches!(connection.closed().await, ConnectionError::ConnectionClosed(_)));
    }
    assert_eq!(b.counters().links_up, 0);
    while b.strangers().open > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((b.strangers().begun, b.strangers().failed), (1, 1));
    let honest = peer(1, 1).await;
    link(&honest, &b).await;
}

#[tokio::test]
async fn a_version_without_overlap_is_named() {
    let b = peer(2, 1).await;
    let connection = dial(&b, 9, 9).await.unwrap();
    let _send = control(&connection, &Hello { versions: (7, 9), ..hello(1) }).await;
    assert_eq!(told(&connection).await, CloseReason::VersionMismatch { theirs: 1 });
}

#[tokio::test]
async fn who_says_no_hello_is_closed() {
    let mut config = config(2, 1);
    config.hello_timeout = Duration::from_millis(200);
    let b = Quic::bind(config).await.unwrap();
    let connection = dial(&b, 9, 9).await.unwrap();
    assert_eq!(told(&connection).await, CloseReason::HelloTimeout);
    while b.strangers().open > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(b.strangers().refused, 1);
}

#[tokio::test]
async fn garbage_instead_of_a_hello_is_misbehaviour() {
    let b = peer(2, 1).await;
    for garbage in [[0u8; 64].to_vec(), [&frame::preamble(Class::Data)[..], &[1; 9]].concat()] {
        let connection = dial(&b, 9, 9).await.unwrap();
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(&garbage).await.unwrap();
        assert_eq!(told(&connection).await, CloseReason::Misbehaved(Misbehaviour::Stream));
    }
    assert_eq!(b.counters().misbehaved, 2);
}

/// What is written on Control after Ready, and how it is called.
#[tokio::test]
async fn garbage_after_hello_closes_the_link_with_its_name() {
    let undecodable = [&3u32.to_le_bytes()[..], &[255; 3]].concat();
    let trailing = [&3u32.to_le_bytes()[..], &[1, 0, 0]].concat();
    let oversized = (64u32 << 20).to_le_bytes().to_vec();
    let second_hello = frame::of_link(&hello(1)).unwrap().to_vec();
    for (bytes, kind) in [
        (undecodable, Misbehaviour::Decode),
        (trailing, Misbehaviour::Decode),
        (oversized, Misbehaviour::Size),
        (second_hello, Misbehaviour::Stream),
    ] {
        let b = peer(2, 1).await;
        let (connection, mut send) = stranger(&b).await;
        send.write_all(&bytes).await.unwrap();
        assert_eq!(downs(&until(&b, is_down).await), [CloseReason::Misbehaved(kind)]);
        assert_eq!(told(&connection).await, CloseReason::Misbehaved(kind));
        assert_eq!(b.counters().misbehaved, 1);
    }
}

#[tokio::test]
async fn streams_that_do_not_belong_close_the_link() {
    let second_control = frame::preamble(Class::Control).to_vec();
    let mut unknown = second_control.clone();
    unknown[6] = 3;
    let mut gap = frame::preamble(Class::Data).to_vec();
    gap[8] = 5;
    for (preamble, kind) in [
        (second_control, Misbehaviour::Stream),
        (unknown, Misbehaviour::Stream),
        (gap, Misbehaviour::Gap),
    ] {
        let b = peer(2, 1).await;
        let (connection, _control) = stranger(&b).await;
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(&preamble).await.unwrap();
        assert_eq!(downs(&until(&b, is_down).await), [CloseReason::Misbehaved(kind)]);
    }
}

#[tokio::test]
async fn a_bad_datagram_closes_the_link() {
    let b = peer(2, 1).await;
    let (connection, _control) = stranger(&b).await;
    connection.send_datagram(vec![0, 200, 1].into()).unwrap();
    let reason = CloseReason::Misbehaved(Misbehaviour::Decode);
    assert_eq!(downs(&until(&b, is_down).await), [reason]);
}

#[test]
fn a_length_of_4_gib_allocates_nothing() {
    for length in [u32::MAX >> 1, u32::MAX, (1 << 20) + 1] {
        let mut deframer = Deframer::new(1 << 20);
        deframer.push(&length.to_le_bytes());
        assert_eq!(deframer.next(), Err(Misbehaviour::Size));
        assert!(deframer.capacity() < 1_024, "{}", deframer.capacity());
    }
}

#[tokio::test]
async fn only_loopback_and_ones_own_key_are_bound() {
    let bind = |config| Quic::<Message>::bind(config);
    let mut open = config(1, 1);
    open.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(bind(open).await, Err(BindError::NotLoopback(_))));
    let mut foreign = config(1, 1);
    foreign.life = life(2, 1);
    assert!(matches!(bind(foreign).await, Err(BindError::WrongKey { .. })));
    let mut hasty = config(1, 1);
    hasty.idle_timeout = Duration::from_millis(5);
    let refused = bind(hasty).await.map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused, "quic transport: idle_timeout is 5, allowed is 1 s to 10 min");
    let mut open = config(1, 1);
    open.limits.retry_above = 256;
    let refused = bind(open).await.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "quic transport: limits.retry_above is 256, allowed is 0 to limits.open - 1"
    );
    let mut none = config(1, 1);
    none.limits.per_address.rate = 0;
    let refused = bind(none).await.map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused, "quic transport: limits.per_address.rate is 0, allowed is 1 to 65536");
    let taken = peer(1, 1).await;
    let mut same = config(2, 1);
    same.listen = taken.addresses()[0].rest("quic").unwrap().parse().unwrap();
    assert!(matches!(bind(same).await, Err(BindError::Bind { .. })));
}
