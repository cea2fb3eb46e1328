//! What lies on a stream: a preamble of 16 bytes, then frames of a length and that many bytes.
#![deny(clippy::indexing_slicing)]

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use formic_core::{
    transport::{Class, CloseReason, Flaw, Misbehaviour},
    wire,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of preambles and frames.
const FRAMING: u16 = 1;

/// Bytes of a preamble: magic 4, framing version 2, class 1, flags 1, first sequence number 8.
pub(crate) const PREAMBLE: usize = 16;

/// Bytes before each body.
pub(crate) const HEADER: usize = 4;

/// The top bit of a length: a frame of the link itself, not a message.
const LINK_FRAME: u32 = 1 << 31;

/// Largest frame of the link itself.
const LINK_FRAME_MAX: usize = 4 << 10;

/// The close code of a life that is over: its peer goes on as the next one.
pub(crate) const REBORN: u32 = 16;

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) of_link: bool,
    pub(crate) body: Bytes,
}

/// What a dialer says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) versions: (u16, u16),
    pub(crate) incarnation: u64,
    /// Random per process: two processes with one life are told apart by it.
    pub(crate) fate: [u8; 16],
}

/// What an acceptor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HelloAck {
    pub(crate) version: u16,
    pub(crate) incarnation: u64,
    pub(crate) fate: [u8; 16],
}

/// What a dialer says when its link is up; the acceptor's is up when it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready;

/// Which class a stream carries.
pub(crate) fn preamble(class: Class) -> [u8; PREAMBLE] {
    let mut bytes = BytesMut::with_capacity(PREAMBLE);
    bytes.put_slice(&wire::MAGIC);
    bytes.put_u16_le(FRAMING);
    bytes.put_u8(class as u8);
    bytes.put_u8(0);
    bytes.put_u64_le(0);
    let mut preamble = [0; PREAMBLE];
    preamble.copy_from_slice(&bytes);
    preamble
}

/// Reads a preamble.
pub(crate) fn class_of(preamble: &[u8; PREAMBLE]) -> Result<Class, CloseReason> {
    let mut bytes = preamble.as_slice();
    let stream = CloseReason::Misbehaved(Misbehaviour::Stream);
    let mut magic = [0; 4];
    bytes.copy_to_slice(&mut magic);
    if magic != wire::MAGIC {
        return Err(stream);
    }
    let version = bytes.get_u16_le();
    if version != FRAMING {
        return Err(CloseReason::VersionMismatch { theirs: version });
    }
    let class = match bytes.get_u8() {
        0 => Class::Control,
        1 => Class::Data,
        2 => Class::Bulk,
        _ => return Err(stream),
    };
    if bytes.get_u8() != 0 {
        return Err(stream);
    }
    if bytes.get_u64_le() != 0 {
        return Err(CloseReason::Misbehaved(Misbehaviour::Gap));
    }
    Ok(class)
}

/// Encodes a frame of the link itself.
pub(crate) fn of_link(value: &impl Serialize) -> Result<BytesMut, wire::WireError> {
    let body = wire::encode(value)?;
    let mut frame = BytesMut::with_capacity(HEADER + body.len());
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    frame.put_u32_le(length | LINK_FRAME);
    frame.put_slice(&body);
    Ok(frame)
}

/// Decodes a frame of the link itself.
pub(crate) fn read_of_link<T: DeserializeOwned>(frame: &Frame) -> Result<T, CloseReason> {
    if !frame.of_link {
        return Err(CloseReason::Misbehaved(Misbehaviour::Stream));
    }
    wire::decode(&frame.body).map_err(|_| CloseReason::Misbehaved(Misbehaviour::Decode))
}

/// A scratch buffer that grew above this for one message is given back.
const SCRATCH: usize = 64 << 10;

/// Encodes a message into `scratch`. The codec writes field by field, most of them a few bytes: into a `Vec` each is
/// an append, into a queue of `BytesMut` each would be a call.
pub(crate) fn encode<T: Serialize>(
    scratch: &mut Vec<u8>,
    message: &T,
) -> Result<usize, wire::WireError> {
    scratch.clear();
    scratch.shrink_to(SCRATCH);
    wire::encode_into(message, scratch)
}

/// Appends one encoded message to a queue.
pub(crate) fn append(queue: &mut BytesMut, body: &[u8]) {
    queue.reserve(HEADER + body.len());
    queue.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
    queue.put_slice(body);
}

/// Cuts a stream into frames.
#[derive(Debug)]
pub(crate) struct Deframer {
    buffer: BytesMut,
    limit: usize,
}

impl Deframer {
    /// For messages of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole frame. A length above the limit is refused before anything is reserved for it.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Misbehaviour> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header);
        let of_link = length & LINK_FRAME != 0;
        let size = usize::try_from(length & !LINK_FRAME).map_err(|_| Misbehaviour::Size)?;
        if size > if of_link { LINK_FRAME_MAX } else { self.limit } {
            return Err(Misbehaviour::Size);
        }
        if self.buffer.len() - HEADER < size {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some(Frame { of_link, body: self.buffer.split_to(size).freeze() }))
    }

    /// Whether the stream ends in the middle of a frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }
}

/// Cuts a datagram into its messages: a length of 2 bytes, then that many.
pub(crate) fn unpack(mut datagram: Bytes) -> Result<Vec<Bytes>, Misbehaviour> {
    let mut messages = Vec::new();
    while !datagram.is_empty() {
        let size = usize::from(datagram.try_get_u16_le().map_err(|_| Misbehaviour::Decode)?);
        if size > datagram.len() {
            return Err(Misbehaviour::Decode);
        }
        messages.push(datagram.split_to(size));
    }
    Ok(messages)
}

/// Why this end closed, as the other side is told: a code and a detail.
pub(crate) fn close_code(reason: CloseReason) -> (u32, [u8; 2]) {
    match reason {
        CloseReason::ShuttingDown => (2, [0; 2]),
        CloseReason::Duplicate => (3, [0; 2]),
        CloseReason::Lost => (4, [0; 2]),
        CloseReason::PeerRestarted => (5, [0; 2]),
        CloseReason::StaleLife => (6, [0; 2]),
        CloseReason::DuplicateIdentity => (7, [0; 2]),
        CloseReason::VersionMismatch { .. } => (8, wire::VERSION.to_be_bytes()),
        CloseReason::NotAdmitted(flaw) => (11, [0, flaw as u8]),
        CloseReason::HelloTimeout => (13, [0; 2]),
        CloseReason::Misbehaved(kind) => (14, [0, kind as u8]),
        CloseReason::Gone => (15, [0; 2]),
        _ => (1, [0; 2]),
    }
}

/// What a close code of the other side means here.
pub(crate) fn reason_of(code: u64, detail: &[u8]) -> CloseReason {
    let detail = detail.first_chunk::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes));
    match code {
        1 => CloseReason::Closed,
        2 => CloseReason::ShuttingDown,
        3 => CloseReason::Duplicate,
        // Who is told that the peer restarted is that peer's old life.
        5 | 6 => CloseReason::StaleLife,
        7 => CloseReason::DuplicateIdentity,
        8 => CloseReason::VersionMismatch { theirs: detail },
        11 => CloseReason::NotAdmitted(match detail {
            0 => Flaw::Expired,
            1 => Flaw::Foreign,
            2 => Flaw::Missing,
            _ => Flaw::Invalid,
        }),
        13 => CloseReason::HelloTimeout,
        14 => CloseReason::Misbehaved(match detail {
            0 => Misbehaviour::Decode,
            1 => Misbehaviour::Gap,
            2 => Misbehaviour::Size,
            3 => Misbehaviour::Stream,
            _ => Misbehaviour::Flood,
        }),
        16 => CloseReason::PeerRestarted,
        // A claim of death across processes proves nothing.
        _ => CloseReason::Lost,
    }
}
