//! The one task that writes a link: takes whole queues, sleeps when all are empty.

use core::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use formic_core::transport::{Class, CloseReason, Misbehaviour};
use quinn::{SendStream, WriteError};

use crate::{endpoint::Endpoint, frame, link::Link};

/// The reliable classes, the most urgent first.
pub(crate) const RELIABLE: [Class; 3] = [Class::Control, Class::Data, Class::Bulk];

/// After this many rounds the writer lets others run.
const ROUNDS: usize = 16;

#[derive(Debug)]
pub(crate) struct Writer {
    endpoint: Arc<Endpoint>,
    link: Arc<Link>,
    streams: [SendStream; 3],
    chunks: [BytesMut; 3],
    /// Whether the preamble was written, by class.
    begun: [bool; 3],
}

/// How writing a link ended without anybody's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was delivered to the other side; the link may be closed.
    Flushed(CloseReason),
    /// The connection is gone.
    Disconnected,
}

impl Writer {
    /// Opens the streams for Data and Bulk; Control was opened for the Hello.
    pub(crate) async fn new(
        endpoint: Arc<Endpoint>,
        link: Arc<Link>,
        control: SendStream,
    ) -> Result<Self, quinn::ConnectionError> {
        let streams =
            [control, link.connection.open_uni().await?, link.connection.open_uni().await?];
        for (stream, priority) in streams.iter().zip([2, 1, 0]) {
            // A stream that is closed already has no priority; writing to it will say so.
            let _ = stream.set_priority(priority);
        }
        Ok(Self {
            endpoint,
            link,
            streams,
            chunks: Default::default(),
            begun: [true, false, false],
        })
    }

    /// Writes until the link is closed, then waits until the other side has everything.
    pub(crate) async fn run(mut self) -> Result<Ended, CloseReason> {
        let flushed = poll_fn(|cx| self.poll_write(cx)).await;
        let reason = match flushed {
            Ok(reason) => reason,
            Err(WriteError::Stopped(_)) => {
                return Err(CloseReason::Misbehaved(Misbehaviour::Stream));
            }
            Err(_) => return Ok(Ended::Disconnected),
        };
        for (stream, begun) in self.streams.iter_mut().zip(self.begun) {
            if begun && stream.finish().is_ok() && stream.stopped().await.is_err() {
                return Ok(Ended::Disconnected);
            }
        }
        Ok(Ended::Flushed(reason))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<CloseReason, WriteError>> {
        for _ in 0..ROUNDS {
            self.link.out().await_messages(cx.waker());
            self.write_datagrams();
            let mut progress = false;
            for class in RELIABLE {
                progress |= self.write_class(class, cx)?;
            }
            if progress {
                self.link.active.notify_one();
                continue;
            }
            let closing = self.link.out().closing();
            let empty = self.chunks.iter().all(BytesMut::is_empty);
            return match closing {
                Some(reason) if empty => Poll::Ready(Ok(reason)),
                _ => Poll::Pending,
            };
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One write of one class: a class that is blocked blocks no other.
    fn write_class(&mut self, class: Class, cx: &mut Context<'_>) -> Result<bool, WriteError> {
        let at = class as usize;
        if self.chunks[at].is_empty() {
            self.refill(class);
        }
        if self.chunks[at].is_empty() {
            return Ok(false);
        }
        match Pin::new(&mut self.streams[at]).poll_write(cx, &self.chunks[at]) {
            Poll::Ready(Ok(written)) => {
                self.chunks[at].advance(written);
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(false),
        }
    }

    fn refill(&mut self, class: Class) {
        let at = class as usize;
        let taken = self.link.out().take(class, &self.endpoint.config);
        if taken.writable {
            self.endpoint.push_writable(&self.link, class);
        }
        taken.ready.into_iter().for_each(Waker::wake);
        if taken.chunk.is_empty() || self.begun[at] {
            self.chunks[at] = taken.chunk;
            return;
        }
        self.begun[at] = true;
        self.chunks[at] = BytesMut::from(frame::preamble(class).as_slice());
        self.chunks[at].extend_from_slice(&taken.chunk);
    }

    /// Hands datagrams to the connection while it has room; the rest waits for the next wake-up.
    fn write_datagrams(&mut self) {
        while self.link.connection.datagram_send_buffer_space() > crate::config::DATAGRAM_MAX + 2 {
            let Some(datagram) = self.link.out().take_datagram() else { return };
            match self.link.connection.send_datagram(datagram) {
                Ok(()) => self.link.active.notify_one(),
                Err(_) => self.endpoint.count_dropped(1),
            }
        }
    }
}
