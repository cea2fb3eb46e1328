//! What comes in on a link: one task per stream, and one for datagrams.

use core::sync::atomic::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use formic_core::transport::{Class, CloseReason, Misbehaviour};
use quinn::{ReadError, ReadExactError, RecvStream};

use crate::{
    endpoint::Endpoint,
    frame::{self, Deframer, Frame, PREAMBLE},
    hello::reason,
    link::Link,
};

/// The most that is read at once.
const CHUNK: usize = 64 << 10;

/// What a waiting message weighs beside its bytes.
pub(crate) const OVERHEAD: usize = 64;

/// Reads the class of a stream that the peer opened.
pub(crate) async fn read_preamble(recv: &mut RecvStream) -> Result<Class, CloseReason> {
    begun(recv).await?.ok_or(CloseReason::Misbehaved(Misbehaviour::Stream))
}

async fn begun(recv: &mut RecvStream) -> Result<Option<Class>, CloseReason> {
    let mut preamble = [0; PREAMBLE];
    match recv.read_exact(&mut preamble).await {
        Ok(()) => frame::class_of(&preamble).map(Some),
        Err(ReadExactError::FinishedEarly(0)) => Ok(None),
        Err(ReadExactError::ReadError(ReadError::ConnectionLost(error))) => Err(reason(&error)),
        Err(_) => Err(CloseReason::Misbehaved(Misbehaviour::Stream)),
    }
}

/// The next frame of a stream, before the link is up.
pub(crate) async fn read_frame(
    recv: &mut RecvStream,
    deframer: &mut Deframer,
) -> Result<Frame, CloseReason> {
    loop {
        if let Some(frame) = deframer.next().map_err(CloseReason::Misbehaved)? {
            return Ok(frame);
        }
        match recv.read_chunk(CHUNK, true).await {
            Ok(Some(chunk)) => deframer.push(&chunk.bytes),
            Ok(None) => return Err(CloseReason::Misbehaved(Misbehaviour::Stream)),
            Err(ReadError::ConnectionLost(error)) => return Err(reason(&error)),
            Err(_) => return Err(CloseReason::Lost),
        }
    }
}

/// Reads a stream that the peer opened after the link was up.
pub(crate) async fn accept(
    endpoint: Arc<Endpoint>,
    link: Arc<Link>,
    mut recv: RecvStream,
) -> Result<(), CloseReason> {
    // A stream that was never used ends before it begins when its writer goes.
    let Some(class) = begun(&mut recv).await? else { return Ok(()) };
    let bit = 1 << class as u8;
    if link.streams.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(CloseReason::Misbehaved(Misbehaviour::Stream));
    }
    let deframer = Deframer::new(endpoint.config.max_message(class));
    read(endpoint, link, recv, (class, deframer)).await
}

/// Reads a stream to its end. A lost connection is an end: whoever sees it closed says why.
pub(crate) async fn read(
    endpoint: Arc<Endpoint>,
    link: Arc<Link>,
    mut recv: RecvStream,
    (class, mut deframer): (Class, Deframer),
) -> Result<(), CloseReason> {
    loop {
        let bodies = messages(&mut deframer).map_err(CloseReason::Misbehaved)?;
        if !endpoint.push_messages(&link, class, bodies) {
            return Ok(());
        }
        // Not read is not acknowledged: QUIC's flow control stops the sender.
        while link.down.get().is_none()
            && link.waiting[class as usize].load(Ordering::Acquire) >= endpoint.config.inbox
        {
            link.room[class as usize].notified().await;
        }
        match recv.read_chunk(CHUNK, true).await {
            Ok(Some(chunk)) => {
                deframer.push(&chunk.bytes);
                // The sender may be told that it may send more.
                link.active.notify_one();
            }
            Ok(None) if deframer.is_empty() => return Ok(()),
            Ok(None) => return Err(CloseReason::Misbehaved(Misbehaviour::Decode)),
            Err(ReadError::ConnectionLost(_)) => return Ok(()),
            Err(_) => return Err(CloseReason::Misbehaved(Misbehaviour::Stream)),
        }
    }
}

fn messages(deframer: &mut Deframer) -> Result<Vec<Bytes>, Misbehaviour> {
    let mut bodies = Vec::new();
    while let Some(frame) = deframer.next()? {
        if frame.of_link {
            return Err(Misbehaviour::Stream);
        }
        bodies.push(frame.body);
    }
    Ok(bodies)
}

/// Reads datagrams until the connection ends.
pub(crate) async fn read_datagrams(
    endpoint: Arc<Endpoint>,
    link: Arc<Link>,
) -> Result<(), CloseReason> {
    while let Ok(datagram) = link.connection.read_datagram().await {
        let bodies = frame::unpack(datagram).map_err(CloseReason::Misbehaved)?;
        if !endpoint.push_messages(&link, Class::Unreliable, bodies) {
            return Ok(());
        }
    }
    Ok(())
}
