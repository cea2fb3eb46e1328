//! Ten peers in one process, each talking to every other: `transports/memory`.

use core::future::poll_fn;
use std::{collections::VecDeque, sync::Arc};

use formic_benches::pairs::{Round, Timer};
use formic_core::{
    Incarnation, Life, PeerId,
    transport::{Class, Event, LinkId, Transport},
};
use formic_memory::{Hub, Memory};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{
    actors, channels,
    table::{Figure, Goal, Table},
};

/// Peers of a mesh.
pub(crate) const PEERS: usize = 10;
/// Messages that wait at a receiver, in all contestants that have a bound.
pub(crate) const BOUND: usize = 1_024;

/// What is sent: one allocation, as a message with a body has.
pub(crate) type Body<const N: usize> = Box<[u8; N]>;

/// A row could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("an end went away")]
pub(crate) struct BadEnd;

pub(crate) fn body<const N: usize>() -> Body<N> {
    Box::new([7; N])
}

/// A numbered message: its receiver checks that none is missing, doubled or early.
type Numbered<const N: usize> = (u64, Body<N>);

type End<const N: usize> = Arc<Memory<Numbered<N>>>;

fn life(peer: usize) -> Life {
    let peer = u8::try_from(peer).unwrap_or(u8::MAX);
    Life::new(PeerId::from_bytes([peer; 32]), Incarnation(1))
}

/// Sends when there is room.
pub(crate) async fn send<M: Send + 'static>(
    end: &impl Transport<M>,
    link: LinkId,
    class: Class,
    message: M,
) -> Result<(), BadEnd> {
    let mut message = message;
    while let Err(refused) = end.try_send(link, class, message) {
        message = refused.message;
        poll_fn(|cx| end.poll_ready(link, class, cx)).await.map_err(|_| BadEnd)?;
    }
    Ok(())
}

async fn send_all<const N: usize>(
    end: End<N>,
    links: Vec<LinkId>,
    each: u64,
) -> Result<u64, BadEnd> {
    for number in 0..each {
        for link in &links {
            send(&*end, *link, Class::Data, (number, body())).await?;
        }
    }
    Ok(0)
}

/// Every message, in order of its link.
async fn receive<const N: usize>(end: End<N>, expected: u64) -> Result<u64, BadEnd> {
    let (mut events, mut received) = (Vec::with_capacity(BOUND), 0);
    let mut next = [0_u64; PEERS];
    while received < expected {
        poll_fn(|cx| end.poll_events(cx, &mut events, BOUND)).await.map_err(|_| BadEnd)?;
        for event in events.drain(..) {
            if let Event::Message { link, message: (number, body), .. } = event {
                let expected = next.get_mut(link.index as usize).ok_or(BadEnd)?;
                assert_eq!(number, *expected, "in order, none lost or doubled");
                *expected += 1;
                drop(body);
                received += 1;
            }
        }
    }
    Ok(received)
}

async fn meshed<const N: usize>() -> Result<Vec<(End<N>, Vec<LinkId>)>, BadEnd> {
    let hub = Hub::new();
    let mut ends: Vec<(End<N>, Vec<LinkId>)> = Vec::new();
    for peer in 0..PEERS {
        let end = hub.join(life(peer), &peer.to_string()).map_err(|_| BadEnd)?;
        ends.push((end, Vec::new()));
    }
    for from in 0..PEERS {
        for to in (0..PEERS).filter(|to| *to != from) {
            let addresses = ends[to].0.addresses();
            let link = ends[from].0.connect(life(to).peer, &addresses).await;
            ends[from].1.push(link.map_err(|_| BadEnd)?);
        }
    }
    Ok(ends)
}

fn ours<const N: usize>(runtime: &Runtime, each: u64) -> Round {
    runtime.block_on(async move {
        let ends = meshed::<N>().await.unwrap_or_default();
        let mut tasks = JoinSet::new();
        let timer = Timer::start();
        for (end, links) in ends {
            tasks.spawn(receive(Arc::clone(&end), each * (PEERS as u64 - 1)));
            tasks.spawn(send_all(end, links, each));
        }
        let received: u64 = tasks.join_all().await.into_iter().filter_map(Result::ok).sum();
        assert_eq!(received, each * PEERS as u64 * (PEERS as u64 - 1), "none is lost");
        timer.stop(received)
    })
}

/// One sender that hands over 32 at a time, one receiver.
fn batches<const N: usize>(runtime: &Runtime, count: u64) -> Round {
    runtime.block_on(async move {
        let mut ends = meshed::<N>().await.unwrap_or_default();
        let (to, _) = ends.remove(1);
        let (from, links) = ends.remove(0);
        let timer = Timer::start();
        let receiver = tokio::spawn(receive(to, count));
        let sends = tokio::spawn(async move {
            let (mut queue, mut number) = (VecDeque::new(), 0);
            while number < count || !queue.is_empty() {
                while queue.len() < 32 && number < count {
                    queue.push_back((number, body()));
                    number += 1;
                }
                if from.try_send_batch(links[0], Class::Data, &mut queue).is_err() {
                    let ready = poll_fn(|cx| from.poll_ready(links[0], Class::Data, cx));
                    ready.await.map_err(|_| BadEnd)?;
                }
            }
            Ok::<_, BadEnd>(from)
        });
        let sent = sends.await.is_ok_and(|sent| sent.is_ok());
        let received = receiver.await.map_or(0, Result::unwrap_or_default);
        assert!(sent && received == count, "none is lost");
        timer.stop(received)
    })
}

pub(crate) fn rows(table: &mut Table) -> Result<(), std::io::Error> {
    let threads = Builder::new_multi_thread().worker_threads(2).build()?;
    let thread = Builder::new_current_thread().build()?;
    let each = table.units(30_000);
    let rate = |goal| (Figure::Rate, Goal::AtLeast(goal));
    table.add(
        ("memory 10x10, 64 B, numbered, 2 workers", "tokio mpsc"),
        rate(1.15),
        || ours::<64>(&threads, each),
        || channels::mesh::<64>(&threads, each),
    );
    table.add(
        ("memory 10x10, 64 B, numbered, 1 thread", "tokio mpsc"),
        rate(1.25),
        || ours::<64>(&thread, each),
        || channels::mesh::<64>(&thread, each),
    );
    table.add(
        ("memory 10x10, 1 KiB, numbered, 2 workers", "tokio mpsc"),
        rate(0.9),
        || ours::<1_024>(&threads, each / 2),
        || channels::mesh::<1_024>(&threads, each / 2),
    );
    table.add(
        ("memory 1 to 1, batches of 32, 2 workers", "tokio mpsc, single sends"),
        rate(2.2),
        || batches::<64>(&threads, each * 60),
        || channels::pair::<64>(&threads, each * 60),
    );
    table.add(
        ("memory 10x10, 64 B, numbered, 2 workers", "kameo tell"),
        rate(2.0),
        || ours::<64>(&threads, each / 3),
        || actors::kameo(&threads, each / 3),
    );
    table.add(
        ("memory 10x10, 64 B, numbered, 2 workers", "ractor cast"),
        rate(2.0),
        || ours::<64>(&threads, each / 3),
        || actors::ractor(&threads, each / 3),
    );
    Ok(())
}
