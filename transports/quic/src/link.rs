//! One link: what waits to be sent, and what is known of its end.

use core::{
    mem,
    sync::atomic::{AtomicBool, AtomicU8, AtomicUsize},
    task::Waker,
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, OnceLock},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use formic_core::{
    Life,
    transport::{Class, CloseReason, LinkError, LinkId},
    wire::WireError,
};
use quinn::VarInt;
use serde::Serialize;
use tokio::sync::Notify;

use crate::{
    config::{Config, DATAGRAM_MAX},
    endpoint::hold,
    frame,
};

/// The writer takes at most this much at once: bounds what it holds beside the queues.
const CHUNK: usize = 64 << 10;

/// Bytes of datagrams that wait to be sent; above it the oldest is dropped.
const DATAGRAM_QUEUE: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) peer: Life,
    pub(crate) connection: quinn::Connection,
    /// Set under the inbox lock, with the event.
    pub(crate) down: OnceLock<CloseReason>,
    /// An undecodable message came: what is still queued is not handed out.
    pub(crate) poisoned: AtomicBool,
    /// Classes (as bits) whose stream the peer has opened.
    pub(crate) streams: AtomicU8,
    /// Received bytes that wait for the consumer, by class.
    pub(crate) waiting: [AtomicUsize; 4],
    /// Told when the consumer made room, by class.
    pub(crate) room: [Notify; 3],
    /// Told when something went out or came in.
    pub(crate) active: Notify,
    out: Mutex<Outbox>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queues: [BytesMut; 3],
    /// The last message that was encoded.
    scratch: Vec<u8>,
    datagrams: VecDeque<Bytes>,
    datagram_bytes: usize,
    refused: [bool; 3],
    ready: [Vec<Waker>; 3],
    writer: Option<Waker>,
    closing: Option<CloseReason>,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) size: usize,
    /// Datagrams dropped for it.
    pub(crate) dropped: u64,
    pub(crate) writer: Option<Waker>,
}

/// What the writer found.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) chunk: BytesMut,
    /// Somebody got `Full` and there is room again.
    pub(crate) writable: bool,
    pub(crate) ready: Vec<Waker>,
}

impl Link {
    /// A link whose Control stream begins with `first`.
    pub(crate) fn new(
        id: LinkId,
        peer: Life,
        connection: quinn::Connection,
        first: BytesMut,
    ) -> Self {
        let out = Outbox { queues: [first, BytesMut::new(), BytesMut::new()], ..Outbox::default() };
        Self {
            id,
            peer,
            connection,
            down: OnceLock::new(),
            poisoned: AtomicBool::new(false),
            streams: AtomicU8::new(1 << Class::Control as u8),
            waiting: Default::default(),
            room: Default::default(),
            active: Notify::new(),
            out: Mutex::new(out),
        }
    }

    pub(crate) fn out(&self) -> MutexGuard<'_, Outbox> {
        hold(&self.out)
    }

    /// Whether messages are still taken.
    pub(crate) fn open(&self, out: &Outbox) -> Result<(), LinkError> {
        match self.down.get().or(out.closing.as_ref()) {
            Some(reason) => Err(LinkError::Closed(*reason)),
            None => Ok(()),
        }
    }

    /// Ends the connection at once.
    pub(crate) fn disconnect(&self, reason: CloseReason) {
        disconnect(&self.connection, reason);
    }
}

/// Closes a connection and says why.
pub(crate) fn disconnect(connection: &quinn::Connection, reason: CloseReason) {
    let (code, detail) = frame::close_code(reason);
    connection.close(VarInt::from_u32(code), &detail);
}

/// Closes a connection of a life that is over because its peer began the next one.
pub(crate) fn disconnect_reborn(connection: &quinn::Connection) {
    connection.close(VarInt::from_u32(frame::REBORN), &[0; 2]);
}

impl Outbox {
    /// Encodes a message and appends it to the queue of its class.
    pub(crate) fn push<T: Serialize>(
        &mut self,
        class: Class,
        message: &T,
        config: &Config,
    ) -> Result<Queued, LinkError> {
        let limit = config.max_message(class);
        let size = encoded(frame::encode(&mut self.scratch, message))?;
        if size > limit {
            return Err(LinkError::TooLarge { size, limit });
        }
        if class == Class::Unreliable {
            let body = Bytes::copy_from_slice(&self.scratch);
            return Ok(self.push_datagram(body, size));
        }
        let queue = &mut self.queues[class as usize];
        if !queue.is_empty() && queue.len() + frame::HEADER + size > config.queue[class as usize] {
            self.refused[class as usize] = true;
            return Err(LinkError::Full);
        }
        frame::append(queue, &self.scratch);
        Ok(Queued { size, dropped: 0, writer: self.writer.take() })
    }

    fn push_datagram(&mut self, body: Bytes, size: usize) -> Queued {
        let mut dropped = 0;
        self.datagram_bytes += size;
        self.datagrams.push_back(body);
        while self.datagram_bytes > DATAGRAM_QUEUE {
            let Some(oldest) = self.datagrams.pop_front() else { break };
            self.datagram_bytes -= oldest.len();
            dropped += 1;
        }
        Queued { size, dropped, writer: self.writer.take() }
    }

    /// Whether a smallest message fits now, and nobody waits for more room; else the waker is rung when it does.
    pub(crate) fn has_room(&mut self, class: Class, config: &Config, waker: &Waker) -> bool {
        let at = class as usize;
        if class == Class::Unreliable
            || (!self.refused[at] && self.queues[at].len() < config.queue[at])
        {
            return true;
        }
        if !self.ready[at].iter().any(|known| known.will_wake(waker)) {
            self.ready[at].push(waker.clone());
        }
        false
    }

    /// Takes what waits of one class, and notices room for those who were refused.
    pub(crate) fn take(&mut self, class: Class, config: &Config) -> Taken {
        let at = class as usize;
        let queue = &mut self.queues[at];
        let chunk = if queue.len() <= CHUNK { mem::take(queue) } else { queue.split_to(CHUNK) };
        let mut taken = Taken { chunk, ..Taken::default() };
        if queue.len() <= config.queue[at] / 2 {
            taken.writable = mem::take(&mut self.refused[at]);
            taken.ready = mem::take(&mut self.ready[at]);
        }
        taken
    }

    /// One datagram of as many messages as fit.
    pub(crate) fn take_datagram(&mut self) -> Option<Bytes> {
        let mut packed = BytesMut::new();
        while let Some(body) = self.datagrams.front() {
            if packed.len() + 2 + body.len() > DATAGRAM_MAX + 2 {
                break;
            }
            let Some(body) = self.datagrams.pop_front() else { break };
            self.datagram_bytes -= body.len();
            packed.put_u16_le(u16::try_from(body.len()).unwrap_or(u16::MAX));
            packed.put_slice(&body);
        }
        (!packed.is_empty()).then(|| packed.freeze())
    }

    /// Remembers the writer, to be woken by the next message.
    pub(crate) fn await_messages(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    /// Why the link is being closed, once nothing is left to send.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        let empty = self.queues.iter().all(BytesMut::is_empty) && self.datagrams.is_empty();
        self.closing.filter(|_| empty)
    }

    /// Refuses further messages. Returns whom to wake.
    pub(crate) fn begin_close(&mut self, reason: CloseReason) -> Option<Waker> {
        self.closing.get_or_insert(reason);
        self.writer.take()
    }

    /// Drops what waits. Returns whom to wake.
    pub(crate) fn abandon(&mut self) -> Vec<Waker> {
        self.queues = Default::default();
        self.datagrams = VecDeque::new();
        self.datagram_bytes = 0;
        mem::take(&mut self.ready).into_iter().flatten().collect()
    }
}

fn encoded(result: Result<usize, WireError>) -> Result<usize, LinkError> {
    result.map_err(|error| match error {
        WireError::TooLarge { size, limit } => LinkError::TooLarge { size, limit },
        _ => LinkError::Unencodable,
    })
}
