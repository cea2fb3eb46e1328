//! The comparator that most programs use: a bounded tokio channel per peer, `recv_many` at its end.

use formic_benches::pairs::{Round, Timer};
use tokio::{
    runtime::Runtime,
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
};

use crate::mesh::{BOUND, BadEnd, Body, PEERS, body};

async fn send_all<const N: usize>(to: Vec<Sender<(usize, Body<N>)>>, me: usize, each: u64) -> u64 {
    for _ in 0..each {
        for (peer, sender) in to.iter().enumerate() {
            if peer != me && sender.send((me, body())).await.is_err() {
                return 0;
            }
        }
    }
    0
}

async fn receive<const N: usize>(mut from: Receiver<(usize, Body<N>)>, expected: u64) -> u64 {
    let mut batch = Vec::with_capacity(BOUND);
    let mut received = 0;
    while received < expected {
        let count = from.recv_many(&mut batch, BOUND).await as u64;
        if count == 0 {
            break;
        }
        received += count;
        batch.clear();
    }
    received
}

/// Every peer sends `each` messages to every other.
pub(crate) fn mesh<const N: usize>(runtime: &Runtime, each: u64) -> Round {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..PEERS).map(|_| mpsc::channel(BOUND)).unzip();
    runtime.block_on(async move {
        let mut tasks = JoinSet::new();
        let timer = Timer::start();
        for (me, from) in receivers.into_iter().enumerate() {
            tasks.spawn(receive::<N>(from, each * (PEERS as u64 - 1)));
            tasks.spawn(send_all(senders.clone(), me, each));
        }
        let received: u64 = tasks.join_all().await.into_iter().sum();
        assert_eq!(received, each * PEERS as u64 * (PEERS as u64 - 1), "none is lost");
        timer.stop(received)
    })
}

/// One sender, one receiver.
pub(crate) fn pair<const N: usize>(runtime: &Runtime, count: u64) -> Round {
    let (sender, from) = mpsc::channel::<(usize, Body<N>)>(BOUND);
    runtime.block_on(async move {
        let timer = Timer::start();
        let receiver = tokio::spawn(receive(from, count));
        let sends = tokio::spawn(async move {
            for _ in 0..count {
                sender.send((0, body())).await.map_err(|_| BadEnd)?;
            }
            Ok::<(), BadEnd>(())
        });
        let sent = sends.await.is_ok_and(|sent| sent.is_ok());
        let received = receiver.await.unwrap_or_default();
        assert!(sent && received == count, "none is lost");
        timer.stop(received)
    })
}
