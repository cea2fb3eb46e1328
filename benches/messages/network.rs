//! One link over loopback: `transports/quic` beside bare quinn that packs what it writes.
//!
//! Bare quinn authenticates the server only, numbers nothing and has one stream: what it leaves out is the reason for a
//! goal below 1.

use core::future::poll_fn;
use std::sync::Arc;

use formic_benches::pairs::{Round, Timer};
use formic_core::{
    Incarnation, Life,
    transport::{Class, Event, LinkId, Transport as _},
};
use formic_identity::SecretKey;
use formic_quic::{Config, Quic};
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use rustls::{RootCertStore, pki_types::PrivatePkcs8KeyDer};
use tokio::runtime::{Builder, Runtime};

use crate::{
    mesh::{BadEnd, send},
    table::{Figure, Goal, Table},
};

/// As the messages of the protocols carry a body.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Message {
    number: u64,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
}

const fn message(number: u64, body: Vec<u8>) -> Message {
    Message { number, body }
}

type End = Arc<Quic<Message>>;

/// A row could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("network: {0}")]
    Io(#[from] std::io::Error),
    #[error("ours: {0}")]
    Bind(#[from] formic_quic::BindError),
    #[error("ours: {0}")]
    Connect(#[from] formic_core::transport::ConnectError),
    #[error("an end went away")]
    End(#[from] BadEnd),
    #[error("bare quinn: {0}")]
    Quinn(String),
}

fn quinn_failed(error: impl core::fmt::Display) -> Failed {
    Failed::Quinn(error.to_string())
}

/// Two linked ends.
struct Ours {
    ends: [End; 2],
    /// What the first end calls the link, and the second.
    links: [LinkId; 2],
}

async fn up(end: &End) -> Result<LinkId, BadEnd> {
    let mut events = Vec::new();
    poll_fn(|cx| end.poll_events(cx, &mut events, 1)).await.map_err(|_| BadEnd)?;
    match events.first() {
        Some(Event::Up { link, .. }) => Ok(*link),
        _ => Err(BadEnd),
    }
}

async fn ours() -> Result<Ours, Failed> {
    let bind = |seed| async move {
        let secret = SecretKey::from_seed([seed; 32]);
        let life = Life::new(secret.public().peer_id(), Incarnation(1));
        Quic::bind(Config::new(([127, 0, 0, 1], 0).into(), life, secret)).await
    };
    let ends: [End; 2] = [bind(1).await?, bind(2).await?];
    ends[0].connect(ends[1].local().peer, &ends[1].addresses()).await?;
    let links = [up(&ends[0]).await?, up(&ends[1]).await?];
    Ok(Ours { ends, links })
}

/// Takes events until `enough` messages of `class` came.
async fn take(end: &End, class: Class, enough: u64) -> Result<(), BadEnd> {
    let (mut events, mut taken) = (Vec::with_capacity(1_024), 0);
    while taken < enough {
        poll_fn(|cx| end.poll_events(cx, &mut events, 1_024)).await.map_err(|_| BadEnd)?;
        let of_class = |event: &Event<Message>| matches!(event, Event::Message { class: it, .. } if *it == class);
        taken += events.drain(..).filter(of_class).count() as u64;
    }
    Ok(())
}

impl Ours {
    fn stream(&self, runtime: &Runtime, size: usize, count: u64) -> Round {
        runtime.block_on(async {
            let (from, to) = (Arc::clone(&self.ends[0]), Arc::clone(&self.ends[1]));
            let link = self.links[0];
            let timer = Timer::start();
            let sends = tokio::spawn(async move {
                for number in 0..count {
                    send(&*from, link, Class::Data, message(number, vec![7; size])).await?;
                }
                Ok::<(), BadEnd>(())
            });
            let taken = take(&to, Class::Data, count).await;
            let sent = sends.await;
            assert!(taken.is_ok() && sent.is_ok_and(|sent| sent.is_ok()), "none is lost");
            timer.stop(count)
        })
    }

    async fn pings(&self, count: u64) -> Result<(), BadEnd> {
        let back = (Arc::clone(&self.ends[1]), self.links[1]);
        let answers = tokio::spawn(async move {
            for number in 0..count {
                take(&back.0, Class::Control, 1).await?;
                send(&*back.0, back.1, Class::Control, message(number, vec![7; 64])).await?;
            }
            Ok::<(), BadEnd>(())
        });
        for number in 0..count {
            send(&*self.ends[0], self.links[0], Class::Control, message(number, vec![7; 64]))
                .await?;
            take(&self.ends[0], Class::Control, 1).await?;
        }
        answers.await.map_err(|_| BadEnd)?
    }

    fn round_trips(&self, runtime: &Runtime, count: u64) -> Round {
        runtime.block_on(async {
            let timer = Timer::start();
            assert!(self.pings(count).await.is_ok(), "every ping is answered");
            timer.stop(count)
        })
    }

    /// Round trips of Control while Bulk is kept full.
    fn round_trips_beside_bulk(&self, runtime: &Runtime, count: u64) -> Round {
        runtime.block_on(async {
            let (from, link) = (Arc::clone(&self.ends[0]), self.links[0]);
            let flood = tokio::spawn(async move {
                let mut number = 0;
                while send(&*from, link, Class::Bulk, message(number, vec![7; 16 << 10]))
                    .await
                    .is_ok()
                {
                    number += 1;
                    tokio::task::yield_now().await;
                }
            });
            tokio::time::sleep(core::time::Duration::from_millis(50)).await;
            let timer = Timer::start();
            assert!(self.pings(count).await.is_ok(), "every ping is answered");
            let round = timer.stop(count);
            flood.abort();
            round
        })
    }
}

struct Bare {
    /// Kept alive.
    _endpoints: [Endpoint; 2],
    connections: [Connection; 2],
}

async fn bare() -> Result<Bare, Failed> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.map_err(quinn_failed)?;
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let server =
        ServerConfig::with_single_cert(vec![certificate.clone()], key).map_err(quinn_failed)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(quinn_failed)?;
    let client = ClientConfig::with_root_certificates(Arc::new(roots)).map_err(quinn_failed)?;
    let server = Endpoint::server(server, ([127, 0, 0, 1], 0).into())?;
    let mut dialer = Endpoint::client(([127, 0, 0, 1], 0).into())?;
    dialer.set_default_client_config(client);
    let address = server.local_addr()?;
    let dial = dialer.connect(address, "localhost").map_err(quinn_failed)?;
    let (dialed, accepted) = tokio::join!(dial, async { server.accept().await?.await.ok() });
    let accepted = accepted.ok_or_else(|| Failed::Quinn("nobody dialed".to_owned()))?;
    let connections = [dialed.map_err(quinn_failed)?, accepted];
    Ok(Bare { _endpoints: [dialer, server], connections })
}

/// Frames of a length and a body, packed until 64 KiB are full.
async fn pack(mut stream: SendStream, size: usize, count: u64) -> Option<()> {
    let mut packed = Vec::with_capacity(64 << 10);
    for _ in 0..count {
        packed.extend_from_slice(&u32::try_from(size).ok()?.to_le_bytes());
        packed.extend_from_slice(&vec![7; size]);
        if packed.len() + size + 4 > 64 << 10 {
            stream.write_all(&packed).await.ok()?;
            packed.clear();
        }
    }
    stream.write_all(&packed).await.ok()?;
    stream.finish().ok()
}

/// Every frame becomes a body of its own, as a consumer needs it.
async fn unpack(mut stream: RecvStream, size: usize) -> Option<u64> {
    let (mut rest, mut count) = (Vec::<u8>::new(), 0);
    while let Some(chunk) = stream.read_chunk(64 << 10, true).await.ok()? {
        rest.extend_from_slice(&chunk.bytes);
        let whole = rest.len() / (size + 4);
        for frame in rest.chunks_exact(size + 4) {
            core::hint::black_box(frame[4..].to_vec());
            count += 1;
        }
        rest.drain(..whole * (size + 4));
    }
    Some(count)
}

async fn ping(send: &mut SendStream, receive: &mut RecvStream) -> Option<()> {
    let mut answer = [0; 64];
    send.write_all(&[7; 64]).await.ok()?;
    receive.read_exact(&mut answer).await.ok()
}

impl Bare {
    fn stream(&self, runtime: &Runtime, size: usize, count: u64) -> Round {
        let [from, to] = self.connections.clone();
        runtime.block_on(async move {
            let timer = Timer::start();
            let sends = tokio::spawn(async move {
                let stream = from.open_uni().await.ok()?;
                pack(stream, size, count).await
            });
            let receives = tokio::spawn(async move {
                let stream = to.accept_uni().await.ok()?;
                unpack(stream, size).await
            });
            let (sent, received) = tokio::join!(sends, receives);
            assert!(sent.is_ok_and(|it| it.is_some()), "all is written");
            assert_eq!(received.ok().flatten(), Some(count), "none is lost");
            timer.stop(count)
        })
    }

    async fn pings(&self, count: u64) -> Option<Round> {
        let to = self.connections[1].clone();
        let answers = tokio::spawn(async move {
            let (mut send, mut receive) = to.accept_bi().await.ok()?;
            let mut ping = [0; 64];
            while receive.read_exact(&mut ping).await.is_ok() {
                send.write_all(&ping).await.ok()?;
            }
            Some(())
        });
        let (mut send, mut receive) = self.connections[0].open_bi().await.ok()?;
        ping(&mut send, &mut receive).await?;
        let timer = Timer::start();
        for _ in 0..count {
            ping(&mut send, &mut receive).await?;
        }
        let round = timer.stop(count);
        send.finish().ok()?;
        answers.await.ok()?;
        Some(round)
    }

    fn round_trips(&self, runtime: &Runtime, count: u64) -> Option<Round> {
        runtime.block_on(self.pings(count))
    }

    fn round_trips_beside_bulk(&self, runtime: &Runtime, count: u64) -> Option<Round> {
        let [from, to] = self.connections.clone();
        runtime.block_on(async {
            let drain = tokio::spawn(async move {
                let mut stream = to.accept_uni().await.ok()?;
                while let Ok(Some(chunk)) = stream.read_chunk(64 << 10, true).await {
                    drop(chunk);
                }
                Some(())
            });
            let flood = tokio::spawn(async move {
                let mut stream = from.open_uni().await.ok()?;
                let packed = vec![7; 64 << 10];
                while stream.write_all(&packed).await.is_ok() {
                    tokio::task::yield_now().await;
                }
                Some(())
            });
            tokio::time::sleep(core::time::Duration::from_millis(50)).await;
            let round = self.pings(count).await;
            flood.abort();
            drain.abort();
            round
        })
    }
}

/// What a contestant that failed is replaced by would be a lie: the program ends.
fn held(round: Option<Round>) -> Round {
    let Some(round) = round else { unreachable!("bare quinn on loopback loses nothing") };
    round
}

pub(crate) fn rows(table: &mut Table) -> Result<(), std::io::Error> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let made = runtime.block_on(async { Ok::<_, Failed>((ours().await?, bare().await?)) });
    let (ours, bare) = made.map_err(std::io::Error::other)?;
    let (many, some, few) = (table.units(1_000_000), table.units(200_000), table.units(10_000));
    table.add(
        ("QUIC one link, 64 B", "bare quinn, 64 KiB writes"),
        (Figure::Rate, Goal::AtLeast(0.7)),
        || ours.stream(&runtime, 64, many),
        || bare.stream(&runtime, 64, many),
    );
    table.add(
        ("QUIC one link, 1 KiB", "bare quinn, 64 KiB writes"),
        (Figure::Rate, Goal::AtLeast(0.7)),
        || ours.stream(&runtime, 1_024, some),
        || bare.stream(&runtime, 1_024, some),
    );
    table.add(
        ("QUIC round trip, 64 B, Control", "bare quinn"),
        (Figure::Latency, Goal::AtMost(1.3)),
        || ours.round_trips(&runtime, few),
        || held(bare.round_trips(&runtime, few)),
    );
    table.add(
        ("QUIC Control round trip while Bulk is full", "bare quinn, default windows"),
        (Figure::Latency, Goal::AtMost(0.15)),
        || ours.round_trips_beside_bulk(&runtime, few / 20),
        || held(bare.round_trips_beside_bulk(&runtime, few / 20)),
    );
    Ok(())
}
