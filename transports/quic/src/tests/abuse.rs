//! Floods: what they cost stays bounded, who is linked does not notice, and the counters tell.

use std::{
    collections::{BTreeSet, HashSet},
    net::UdpSocket,
};

use formic_core::{Random, transport::Misbehaviour};
use quinn::Connection;

use super::{strangers::stranger, *};
use crate::{Loopback, frame, tls};

/// Handshakes of a flood.
const FLOOD: usize = 10_000;
/// Datagrams that are sent before the victim is asked whether it has seen them: they fit its socket's buffer.
const BURST: usize = 32;

/// Memory that this process has, in KiB; 0 where the system does not tell. Printed, never asserted: other tests run beside.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// Which connection a client's first packet begins; `None` for any other packet.
fn begins(datagram: &[u8]) -> Option<Vec<u8>> {
    let initial = datagram.first().is_some_and(|first| first & 0xf0 == 0xc0);
    let size = usize::from(*datagram.get(5)?);
    datagram.get(6..6 + size).filter(|_| initial).map(<[u8]>::to_vec)
}

/// First packets of so many handshakes, from clients that will never go on.
async fn initials(count: usize) -> Vec<Vec<u8>> {
    let sink = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = tls::client(tls::Proof::raw(tls::certified(&secret(9)).unwrap())).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let (mut known, mut packets) = (HashSet::new(), Vec::new());
    let mut buffer = [0; 2_048];
    while packets.len() < count {
        let begun: Vec<_> = (0..BURST)
            .map(|_| {
                let to = sink.local_addr().unwrap();
                endpoint.connect_with(client.clone(), to, tls::SERVER_NAME).unwrap()
            })
            .collect();
        let wanted = packets.len() + BURST;
        while packets.len() < wanted {
            let received = tokio::time::timeout(WATCHDOG, sink.recv(&mut buffer)).await.unwrap();
            let packet = &buffer[..received.unwrap()];
            if begins(packet).is_some_and(|id| known.insert(id)) {
                packets.push(packet.to_vec());
            }
        }
        drop(begun);
    }
    packets.truncate(count);
    packets
}

/// Everything a stranger's packet can have led to.
fn answered(end: &End) -> u64 {
    let seen = end.strangers();
    seen.begun + seen.retried + seen.ignored_open + seen.ignored_address + seen.ignored_rate
}

/// The counters, once so many handshakes became links.
async fn linked(end: &End, count: u64) -> crate::Strangers {
    while end.strangers().linked < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    end.strangers()
}

/// Sends datagrams no faster than the victim reads them.
async fn flood(from: &UdpSocket, to: &End, packets: &[Vec<u8>], mut between: impl FnMut()) {
    let address = cuts::socket(&to.addresses()[0]);
    for burst in packets.chunks(BURST) {
        let before = answered(to);
        for packet in burst {
            from.send_to(packet, address).unwrap();
        }
        // Packets of handshakes that are still open are not counted again: they are not waited for long.
        for _ in 0..200 {
            if answered(to) >= before + burst.len() as u64 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        between();
    }
}

/// 10,000 forged handshakes, twice, from a source that never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_handshakes_cost_no_more_than_32() {
    let mut patient = config(3, 1);
    patient.dial_timeout = Duration::from_secs(30);
    let (a, b, c) = (peer(1, 1).await, peer(2, 1).await, Quic::bind(patient).await.unwrap());
    let [at_a, _] = link(&a, &b).await;
    let packets = initials(FLOOD).await;
    let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut sent, mut worst) = (0, 0);
    let mut memory = vec![resident()];
    for _ in 0..2 {
        flood(&attacker, &b, &packets, || {
            worst = worst.max(b.endpoint().quinn.open_connections());
            sent += u64::from(a.try_send(at_a, Class::Control, (sent, vec![])).is_ok());
        })
        .await;
        memory.push(resident());
    }
    // A newcomer proves its address and is let in, though 32 handshakes are open.
    let at_c = c.connect(b.local().peer, &b.addresses()).await.unwrap();
    assert_eq!(up(&c).await, (at_c, b.local()));
    let mut got = vec![];
    while got.len() < usize::try_from(sent).unwrap() {
        got.extend(numbers(&some(&b).await.unwrap(), Class::Control));
    }
    assert_eq!(got, (0..sent).collect::<Vec<_>>());
    let seen = linked(&b, 2).await;
    println!(
        "resident KiB before, after 10,000, after 20,000: {memory:?}; at most {worst} connections"
    );
    println!("{seen:?}");
    // One link of its own, 32 strangers; the rest was stateless.
    assert!(worst <= 33 && seen.open <= 32, "{worst} connections, {seen:?}");
    assert!(seen.retried > 19_000, "{seen:?}");
    assert_eq!((seen.linked, seen.ignored_open, b.counters().misbehaved), (2, 0, 0));
}

/// Whoever has a key and says nothing keeps 8 handshakes open, and nobody else waits for it.
#[cfg(target_os = "linux")] // Where all of 127/8 is this host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_handshakes_and_others_do_not_wait() {
    let mut strict = config(2, 1);
    strict.limits.loopback = Loopback::Limited;
    let (a, b) = (peer(1, 1).await, Quic::<Message>::bind(strict).await.unwrap());
    let client = tls::client(tls::Proof::raw(tls::certified(&secret(9)).unwrap())).unwrap();
    let attacker = quinn::Endpoint::client("127.0.0.2:0".parse().unwrap()).unwrap();
    let address = cuts::socket(&b.addresses()[0]);
    let dials: Vec<_> = (0..200)
        .map(|_| attacker.connect_with(client.clone(), address, tls::SERVER_NAME).unwrap())
        .collect();
    let mut held: Vec<Connection> = vec![];
    let mut tasks = tokio::task::JoinSet::new();
    dials.into_iter().for_each(|dial| drop(tasks.spawn(dial.into_future())));
    while b.strangers().ignored_address < 100 {
        if let Ok(Some(Ok(Ok(connection)))) =
            tokio::time::timeout(Duration::from_millis(10), tasks.join_next()).await
        {
            held.push(connection);
        }
    }
    let at_a = a.connect(b.local().peer, &b.addresses()).await.unwrap();
    assert_eq!(up(&a).await, (at_a, b.local()));
    assert_eq!(up(&b).await.1, a.local());
    let seen = linked(&b, 1).await;
    println!("{seen:?}");
    // Eight that proved their address and eight that did not, beside the link.
    assert!(seen.open <= 16 && seen.retried > 0, "{seen:?}");
    assert_eq!((seen.links, seen.linked), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_datagrams_reach_nobody() {
    let (a, b) = (peer(1, 1).await, peer(2, 1).await);
    let [at_a, _] = link(&a, &b).await;
    let (attacker, mut random) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Random::new(5));
    let address = cuts::socket(&b.addresses()[0]);
    for number in 0..FLOOD as u64 {
        let size = 1 + usize::try_from(random.below(1_400)).unwrap();
        let mut packet: Vec<u8> = (0..size).map(|_| random.next().to_le_bytes()[0]).collect();
        // Half of them look like QUIC, of our version.
        if number % 2 == 0 && size > 5 {
            packet[0] |= 0xc0;
            packet[1..5].copy_from_slice(&[0, 0, 0, 1]);
        }
        attacker.send_to(&packet, address).unwrap();
        if number % 100 == 0 {
            send(&a, at_a, Class::Data, (number / 100, vec![])).await;
            let got = until(&b, is_message).await;
            assert_eq!(numbers(&got, Class::Data), [number / 100]);
        }
    }
    let seen = b.strangers();
    assert_eq!((seen.linked, seen.links, seen.misbehaved), (1, 1, [0; 5]), "{seen:?}");
    assert!(b.endpoint().quinn.open_connections() <= 33, "{seen:?}");
}

/// A frame one byte above its class's limit, on each class.
#[tokio::test]
async fn a_frame_over_the_limit_closes_the_link_and_is_counted() {
    for (class, limit) in [(Class::Data, 1 << 20), (Class::Bulk, 1 << 20)] {
        let b = peer(2, 1).await;
        let (connection, _control) = stranger(&b).await;
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(&frame::preamble(class)).await.unwrap();
        stream.write_all(&(limit + 1u32).to_le_bytes()).await.unwrap();
        let size = Misbehaviour::Size;
        assert_eq!(downs(&until(&b, is_down).await), [CloseReason::Misbehaved(size)]);
        assert_eq!(b.strangers().misbehaved[size as usize], 1);
    }
}

/// Messages that nobody takes: what waits is bounded, and then the sender waits.
#[tokio::test]
async fn a_flood_of_messages_waits_at_its_sender() {
    let b = peer(2, 1).await;
    let (connection, _control) = stranger(&b).await;
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&frame::preamble(Class::Data)).await.unwrap();
    let mut message = bytes::BytesMut::new();
    let body = formic_core::wire::encode(&(7u64, vec![1u8; 10_000])).unwrap();
    frame::append(&mut message, &body);
    let (mut taken, idle) = (0, Duration::from_millis(500));
    while tokio::time::timeout(idle, stream.write_all(&message)).await.is_ok() {
        taken += message.len();
        assert!(taken < 64 << 20, "{taken} bytes wait at nobody");
    }
    // The sender's window and the receiver's, and what waits decoded by nobody.
    let config = &b.endpoint().config;
    assert!(taken <= 10 * config.stream_window + config.inbox, "{taken}");
    let waiting = b.endpoint().links()[0].waiting[Class::Data as usize]
        .load(core::sync::atomic::Ordering::Relaxed);
    // One read may come on top.
    assert!(waiting <= config.inbox + (64 << 10) + 11_000, "{waiting}");
}

#[tokio::test]
async fn nobody_opens_more_streams_than_there_are_classes() {
    let b = peer(2, 1).await;
    let (connection, _control) = stranger(&b).await;
    let mut streams = vec![];
    for _ in 0..3 {
        streams.push(connection.open_uni().await.unwrap());
    }
    let short = Duration::from_millis(300);
    assert!(tokio::time::timeout(short, connection.open_uni()).await.is_err());
    assert!(tokio::time::timeout(short, connection.open_bi()).await.is_err());
}

/// Forwards datagrams between a dialer and `to`, and keeps what the dialer sent.
async fn recorder(to: SocketAddr) -> (SocketAddr, tokio::task::JoinSet<()>, Tape) {
    let near = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let far = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let (address, tape) = (near.local_addr().unwrap(), Tape::default());
    let mut tasks = tokio::task::JoinSet::new();
    let (dialer, recorded) = (Arc::new(std::sync::OnceLock::new()), Arc::clone(&tape));
    let (near_in, far_out, seen) = (Arc::clone(&near), Arc::clone(&far), Arc::clone(&dialer));
    tasks.spawn(async move {
        let mut buffer = [0; 65_535];
        while let Ok((size, from)) = near_in.recv_from(&mut buffer).await {
            seen.get_or_init(|| from);
            recorded.lock().unwrap().push(buffer[..size].to_vec());
            far_out.send_to(&buffer[..size], to).await.unwrap();
        }
    });
    tasks.spawn(async move {
        let mut buffer = [0; 65_535];
        while let Ok((size, _)) = far.recv_from(&mut buffer).await {
            if let Some(dialer) = dialer.get() {
                near.send_to(&buffer[..size], *dialer).await.unwrap();
            }
        }
    });
    (address, tasks, tape)
}

type Tape = Arc<std::sync::Mutex<Vec<Vec<u8>>>>;

/// All that a dialer sent, Hello and messages, once more and from elsewhere: nobody is linked by it, nothing is heard
/// twice, and the link goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_hello_links_nobody() {
    let (a, b) = (peer(1, 1).await, peer(2, 1).await);
    let (proxy, _tasks, tape) = recorder(cuts::socket(&b.addresses()[0])).await;
    let address = formic_core::transport::Address::new("quic", &proxy.to_string());
    let at_a = a.connect(b.local().peer, &[address]).await.unwrap();
    assert_eq!(up(&a).await, (at_a, b.local()));
    up(&b).await;
    send(&a, at_a, Class::Control, (1, vec![])).await;
    assert_eq!(numbers(&until(&b, is_message).await, Class::Control), [1]);
    let packets = tape.lock().unwrap().clone();
    assert!(packets.len() > 3, "{} packets", packets.len());
    let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        for packet in &packets {
            attacker.send_to(packet, cuts::socket(&b.addresses()[0])).unwrap();
        }
    }
    send(&a, at_a, Class::Control, (2, vec![])).await;
    let got = until(&b, is_message).await;
    assert_eq!((numbers(&got, Class::Control), got.len()), (vec![2], 1));
    let firsts: BTreeSet<_> = packets.iter().filter_map(|packet| begins(packet)).collect();
    let seen = b.strangers();
    assert_eq!((seen.linked, b.counters().links_up), (1, 1));
    assert!(seen.begun <= 1 + firsts.len() as u64, "{seen:?}");
}
