//! The life of a link: its writer, its readers, and how it ends.

use std::sync::Arc;

use formic_core::transport::{Class, CloseReason};
use quinn::{RecvStream, SendStream};
use tokio::task::{JoinError, JoinSet};

use crate::{
    endpoint::Endpoint,
    frame::Deframer,
    hello::reason,
    link::Link,
    pulse, reader,
    writer::{Ended, Writer},
};

/// The streams that the handshake opened.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) control: SendStream,
    pub(crate) recv: RecvStream,
    pub(crate) deframer: Deframer,
}

type Done = Result<Ended, CloseReason>;

/// Serves a link until it ends, then says so. What was received before the end is handed out first.
pub(crate) async fn supervise(endpoint: Arc<Endpoint>, link: Arc<Link>, streams: Streams) {
    let mut tasks = JoinSet::new();
    let writer = Writer::new(Arc::clone(&endpoint), Arc::clone(&link), streams.control).await;
    let writer = match writer {
        Ok(writer) => tasks.spawn(writer.run()),
        Err(error) => return down(&endpoint, &link, reason(&error)),
    };
    let control = (Class::Control, streams.deframer);
    let control = reader::read(Arc::clone(&endpoint), Arc::clone(&link), streams.recv, control);
    tasks.spawn(async { control.await.map(|()| Ended::Disconnected) });
    let datagrams = reader::read_datagrams(Arc::clone(&endpoint), Arc::clone(&link));
    tasks.spawn(async { datagrams.await.map(|()| Ended::Disconnected) });
    let watch = tasks.spawn(watched(pulse::watch(Arc::clone(&endpoint), Arc::clone(&link))));

    let end = serve(&endpoint, &link, &mut tasks).await;
    writer.abort();
    watch.abort();
    // The connection is closed: its readers end when they have handed on what had arrived.
    while let Some(done) = tasks.join_next().await {
        if let Some(CloseReason::Misbehaved(kind)) = failed(done) {
            return endpoint.punish(&link, kind);
        }
    }
    down(&endpoint, &link, end);
}

async fn watched(watch: impl Future<Output = ()>) -> Done {
    watch.await;
    Ok(Ended::Disconnected)
}

/// Accepts streams until the connection is closed, by either side.
async fn serve(
    endpoint: &Arc<Endpoint>,
    link: &Arc<Link>,
    tasks: &mut JoinSet<Done>,
) -> CloseReason {
    loop {
        tokio::select! {
            accepted = link.connection.accept_uni() => match accepted {
                Ok(recv) => {
                    let read = reader::accept(Arc::clone(endpoint), Arc::clone(link), recv);
                    tasks.spawn(async { read.await.map(|()| Ended::Disconnected) });
                }
                Err(error) => return reason(&error),
            },
            Some(done) = tasks.join_next() => match done {
                Ok(Ok(Ended::Flushed(closing))) => {
                    link.disconnect(closing);
                    return closing;
                }
                done => match failed(done) {
                    Some(CloseReason::Misbehaved(kind)) => {
                        endpoint.punish(link, kind);
                        return CloseReason::Misbehaved(kind);
                    }
                    Some(reason) => {
                        link.disconnect(reason);
                        return reason;
                    }
                    None => {}
                },
            },
        }
    }
}

/// Why a task failed, if it did.
fn failed(done: Result<Done, JoinError>) -> Option<CloseReason> {
    match done {
        Ok(Ok(_)) => None,
        Ok(Err(reason)) => Some(reason),
        // A panic in a link's task ends that link, not the process.
        Err(_) => Some(CloseReason::Lost),
    }
}

fn down(endpoint: &Endpoint, link: &Link, reason: CloseReason) {
    // `Duplicate` is an answer to a dial, never the end of a link.
    let reason = match reason {
        CloseReason::Duplicate => CloseReason::Lost,
        other => other,
    };
    endpoint.down(&mut endpoint.directory(), link, reason);
}
