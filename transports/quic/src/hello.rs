//! From a connection to a link: Hello, HelloAck, Ready (transport.md section 4).

use std::sync::Arc;

use bytes::BytesMut;
use formic_core::{
    Incarnation, Life, PeerId,
    transport::{Class, CloseReason, ConnectError, Direction, LinkId, Misbehaviour},
    wire,
};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    dial::{Hearing, Outcome, Verdict},
    door::Opened,
    endpoint::Endpoint,
    frame::{self, Deframer, Hello, HelloAck, Ready},
    limits::Finish,
    link::{Link, disconnect, disconnect_reborn},
    reader::{read_frame, read_preamble},
    supervise::{Streams, supervise},
    tls,
};

/// Why a connection ended, in our words.
pub(crate) fn reason(error: &ConnectionError) -> CloseReason {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            frame::reason_of(close.error_code.into_inner(), &close.reason)
        }
        error => tls::flaw(error).map_or(CloseReason::Lost, CloseReason::NotAdmitted),
    }
}

/// The Control stream of the other side, as far as it was read.
struct Incoming {
    recv: RecvStream,
    deframer: Deframer,
}

impl Incoming {
    async fn accept(endpoint: &Endpoint, connection: &Connection) -> Result<Self, CloseReason> {
        let mut recv = connection.accept_uni().await.map_err(|error| reason(&error))?;
        match read_preamble(&mut recv).await? {
            Class::Control => {}
            _ => return Err(CloseReason::Misbehaved(Misbehaviour::Stream)),
        }
        let limit = endpoint.config.max_message(Class::Control);
        Ok(Self { recv, deframer: Deframer::new(limit) })
    }

    async fn read<T: DeserializeOwned>(&mut self) -> Result<T, CloseReason> {
        frame::read_of_link(&read_frame(&mut self.recv, &mut self.deframer).await?)
    }
}

/// Opens the Control stream with its first frame.
async fn open_with(
    connection: &Connection,
    first: &(impl Serialize + Sync),
) -> Result<SendStream, CloseReason> {
    let mut send = connection.open_uni().await.map_err(|error| reason(&error))?;
    let mut bytes = BytesMut::from(frame::preamble(Class::Control).as_slice());
    bytes.extend_from_slice(&frame::of_link(first).map_err(|_| CloseReason::Lost)?);
    send.write_all(&bytes).await.map_err(|error| match error {
        quinn::WriteError::ConnectionLost(error) => reason(&error),
        _ => CloseReason::Lost,
    })?;
    Ok(send)
}

/// A Hello that was answered counts until it is settled.
struct Answered<'a> {
    endpoint: &'a Endpoint,
    peer: PeerId,
    settled: bool,
}

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.endpoint.directory().contact(self.peer).answered -= 1;
            self.endpoint.tell();
        }
    }
}

/// Answers one connection, and serves the link that comes of it.
pub(crate) async fn greet(endpoint: Arc<Endpoint>, incoming: quinn::Incoming, mut open: Opened) {
    let remote = incoming.remote_address();
    // A handshake that fails proves nothing about anybody, but the user of the stranger may ask why.
    let failed = |error| {
        if let Some(flaw) = tls::flaw(&error) {
            endpoint.count_flaw(remote, flaw, &error);
        }
    };
    let connection = match incoming.accept() {
        Ok(connecting) => timeout(endpoint.config.hello_timeout, connecting).await,
        Err(error) => return failed(error),
    };
    let connection = match connection {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return failed(error),
        Err(_) => return,
    };
    match welcome(&endpoint, &connection).await {
        Ok((link, streams)) => {
            let _counted = open.linked();
            supervise(endpoint, link, streams).await;
        }
        Err(reason) => {
            open.finish = match reason {
                // Whoever only asks who is here hangs up before Hello.
                CloseReason::Closed | CloseReason::Lost => Finish::Failed,
                _ => Finish::Refused,
            };
            endpoint.turn_away(&connection, reason);
        }
    }
}

async fn welcome(
    endpoint: &Endpoint,
    connection: &Connection,
) -> Result<(Arc<Link>, Streams), CloseReason> {
    let peer = tls::peer(connection).ok_or(CloseReason::Misbehaved(Misbehaviour::Decode))?;
    if peer == endpoint.me().peer {
        // Oneself, or a clone of this identity: neither becomes a link.
        return Err(CloseReason::DuplicateIdentity);
    }
    let hello_timeout = endpoint.config.hello_timeout;
    let (mut incoming, hello) = timeout(hello_timeout, async {
        let mut incoming = Incoming::accept(endpoint, connection).await?;
        let hello: Hello = incoming.read().await?;
        Ok::<_, CloseReason>((incoming, hello))
    })
    .await
    .map_err(|_| CloseReason::HelloTimeout)??;
    if !(hello.versions.0..=hello.versions.1).contains(&wire::VERSION) {
        return Err(CloseReason::VersionMismatch { theirs: hello.versions.1 });
    }
    let mut answered = judge(endpoint, connection, peer, &hello).await?;
    let me = endpoint.me();
    let ack =
        HelloAck { version: wire::VERSION, incarnation: me.incarnation.0, fate: endpoint.fate };
    let control = open_with(connection, &ack).await?;
    // Twice: the dialer may first wait for another connection to be settled.
    let Ready = timeout(hello_timeout * 2, incoming.read::<Ready>())
        .await
        .map_err(|_| CloseReason::HelloTimeout)??;
    let life = Life::new(peer, Incarnation(hello.incarnation));

    let mut directory = endpoint.directory();
    if directory.left {
        return Err(CloseReason::ShuttingDown);
    }
    still(endpoint, me, connection)?;
    directory.contact(peer).meet(life.incarnation, hello.fate)?;
    answered.settled = true;
    directory.contact(peer).answered -= 1;
    if let Some(old) = directory.contact(peer).up {
        // The peer dialed although this link is up here: it has lost its half.
        endpoint.cut(&mut directory, old, CloseReason::Lost);
    }
    let make = |id| Link::new(id, life, connection.clone(), BytesMut::new());
    let link = endpoint.up(&mut directory, Direction::Accepted, make);
    Ok((link, Streams { control, recv: incoming.recv, deframer: incoming.deframer }))
}

/// Decides about a Hello; a parked one is decided again whenever something changes.
async fn judge<'a>(
    endpoint: &'a Endpoint,
    connection: &Connection,
    peer: PeerId,
    hello: &Hello,
) -> Result<Answered<'a>, CloseReason> {
    let mut news = endpoint.news();
    let mut hearing = Hearing::First;
    loop {
        match verdict(endpoint, peer, hello, hearing)? {
            Verdict::Answer => return Ok(Answered { endpoint, peer, settled: false }),
            Verdict::Refuse(reason) => return Err(reason),
            Verdict::Park => hearing = Hearing::Again,
        }
        tokio::select! {
            _ = news.changed() => {}
            error = connection.closed() => return Err(reason(&error)),
        }
    }
}

fn verdict(
    endpoint: &Endpoint,
    peer: PeerId,
    hello: &Hello,
    hearing: Hearing,
) -> Result<Verdict, CloseReason> {
    let mut directory = endpoint.directory();
    if directory.left {
        return Err(CloseReason::ShuttingDown);
    }
    let old = directory.contact(peer).meet(Incarnation(hello.incarnation), hello.fate)?;
    if let Some(old) = old {
        endpoint.cut(&mut directory, old, CloseReason::PeerRestarted);
    }
    Ok(directory.contact(peer).on_hello(endpoint.me().peer, peer, hearing))
}

/// Makes one connection to `peer` a link, or finds that another one is it.
pub(crate) async fn introduce(
    endpoint: &Arc<Endpoint>,
    connection: &Connection,
    peer: PeerId,
) -> Result<LinkId, ConnectError> {
    let refused = |reason| {
        endpoint.turn_away(connection, reason);
        ConnectError::Refused(reason)
    };
    let me = endpoint.me();
    let hello = Hello {
        versions: (wire::VERSION, wire::VERSION),
        incarnation: me.incarnation.0,
        fate: endpoint.fate,
    };
    let control = open_with(connection, &hello).await.map_err(refused)?;
    let mut incoming = Incoming::accept(endpoint, connection).await.map_err(refused)?;
    let ack: HelloAck = incoming.read().await.map_err(refused)?;
    if ack.version != wire::VERSION {
        return Err(refused(CloseReason::VersionMismatch { theirs: ack.version }));
    }
    let ready = frame::of_link(&Ready).map_err(|_| refused(CloseReason::Lost))?;
    let mut news = endpoint.news();
    loop {
        match settle(endpoint, connection, (me, peer), (&ack, &ready)).map_err(refused)? {
            Settled::Up(link) => {
                let id = link.id;
                let streams = Streams { control, recv: incoming.recv, deframer: incoming.deframer };
                endpoint.spawn(supervise(Arc::clone(endpoint), link, streams));
                return Ok(id);
            }
            Settled::Superseded(id) => {
                disconnect(connection, CloseReason::Duplicate);
                return Ok(id);
            }
            Settled::Wait => {}
        }
        tokio::select! {
            _ = news.changed() => {}
            error = connection.closed() => return Err(refused(reason(&error))),
        }
    }
}

/// A handshake that began in an older life of this end must not become a link. Asked with the directory held.
fn still(endpoint: &Endpoint, me: Life, connection: &Connection) -> Result<(), CloseReason> {
    if endpoint.me() == me {
        return Ok(());
    }
    disconnect_reborn(connection);
    Err(CloseReason::StaleLife)
}

enum Settled {
    Up(Arc<Link>),
    Superseded(LinkId),
    Wait,
}

/// Decides about a HelloAck under one lock.
fn settle(
    endpoint: &Endpoint,
    connection: &Connection,
    (me, peer): (Life, PeerId),
    (ack, ready): (&HelloAck, &BytesMut),
) -> Result<Settled, CloseReason> {
    let life = Life::new(peer, Incarnation(ack.incarnation));
    let mut directory = endpoint.directory();
    if directory.left {
        return Err(CloseReason::ShuttingDown);
    }
    still(endpoint, me, connection)?;
    let old = directory.contact(peer).meet(life.incarnation, ack.fate)?;
    if let Some(old) = old {
        endpoint.cut(&mut directory, old, CloseReason::PeerRestarted);
    }
    match directory.contact(peer).on_hello_ack(endpoint.me().peer, peer) {
        Outcome::Superseded(id) => {
            directory.contact(peer).dialing = false;
            Ok(Settled::Superseded(id))
        }
        Outcome::Wait => Ok(Settled::Wait),
        Outcome::Up => {
            directory.contact(peer).dialing = false;
            let make = |id| Link::new(id, life, connection.clone(), ready.clone());
            Ok(Settled::Up(endpoint.up(&mut directory, Direction::Dialed, make)))
        }
    }
}
