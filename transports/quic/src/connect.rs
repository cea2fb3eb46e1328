//! What the endpoint does on request: dial, identify, close, shut down.

use core::{net::SocketAddr, time::Duration};
use std::sync::Arc;

use formic_core::{
    PeerId,
    transport::{Address, CloseReason, ConnectError, LinkId},
};
use quinn::{Connection, ConnectionError, VarInt};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    endpoint::Endpoint,
    frame, hello,
    link::{Link, disconnect},
    tls,
};

/// How much later each further address is tried.
const STAGGER: Duration = Duration::from_millis(250);

/// How often a dial is repeated that was refused in favour of a connection which then failed, or because one side
/// began its next life meanwhile.
const ATTEMPTS: usize = 3;

/// Dials a peer and tells everybody who waits for it.
pub(crate) async fn dial(endpoint: Arc<Endpoint>, peer: PeerId, addresses: Vec<Address>) {
    let mut result = Err(ConnectError::Timeout);
    for _ in 0..ATTEMPTS {
        let me = endpoint.me();
        result = attempt(&endpoint, peer, &addresses).await;
        match result {
            Err(ConnectError::Refused(CloseReason::Duplicate | CloseReason::PeerRestarted)) => {}
            Err(ConnectError::Refused(CloseReason::StaleLife)) if endpoint.me() != me => {}
            _ => break,
        }
    }
    if let Err(error) = result {
        endpoint.dial_failed(peer, error);
    }
}

async fn attempt(
    endpoint: &Arc<Endpoint>,
    peer: PeerId,
    addresses: &[Address],
) -> Result<LinkId, ConnectError> {
    let mut news = endpoint.news();
    loop {
        {
            let mut directory = endpoint.directory();
            let contact = directory.contact(peer);
            if let Some(link) = contact.up {
                contact.dialing = false;
                return Ok(link);
            }
            if contact.may_dial() {
                break;
            }
        }
        news.changed().await.map_err(|_| ConnectError::ShutDown)?;
    }
    let connection = first(endpoint, Some(peer), addresses).await?;
    // Longer than the other side may park this Hello behind its own dial.
    let patience = endpoint.config.dial_timeout + endpoint.config.hello_timeout * 3;
    match timeout(patience, hello::introduce(endpoint, &connection, peer)).await {
        Ok(result) => result,
        Err(_) => {
            disconnect(&connection, CloseReason::HelloTimeout);
            Err(ConnectError::Timeout)
        }
    }
}

/// Asks who answers at an address, and hangs up.
pub(crate) async fn identify(
    endpoint: Arc<Endpoint>,
    address: Address,
) -> Result<PeerId, ConnectError> {
    let connection = first(&endpoint, None, core::slice::from_ref(&address)).await?;
    disconnect(&connection, CloseReason::Closed);
    tls::peer(&connection).ok_or(ConnectError::Unreachable(address))
}

/// The first connection that proves to be `expected`; all addresses are tried, one after another
/// without waiting for the ones before.
async fn first(
    endpoint: &Arc<Endpoint>,
    expected: Option<PeerId>,
    addresses: &[Address],
) -> Result<Connection, ConnectError> {
    let mut tries = JoinSet::new();
    for (index, address) in addresses.iter().cloned().enumerate() {
        let endpoint = Arc::clone(endpoint);
        let delay = STAGGER * u32::try_from(index).unwrap_or(u32::MAX);
        tries.spawn(async move {
            sleep(delay).await;
            let patience = endpoint.config.dial_timeout;
            let handshake = handshake(&endpoint, expected, &address);
            timeout(patience, handshake).await.unwrap_or(Err(ConnectError::Unreachable(address)))
        });
    }
    let mut failure = ConnectError::NoAddress;
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(connection)) => return Ok(connection),
            // Somebody who says no at one address says more than nobody at another.
            Ok(Err(error)) if !says_why(&failure) => failure = error,
            _ => {}
        }
    }
    Err(failure)
}

fn says_why(failure: &ConnectError) -> bool {
    matches!(failure, ConnectError::WrongPeer { .. }) || failure.flaw().is_some()
}

async fn handshake(
    endpoint: &Endpoint,
    expected: Option<PeerId>,
    address: &Address,
) -> Result<Connection, ConnectError> {
    let unreachable = || ConnectError::Unreachable(address.clone());
    let host = address.rest("quic").ok_or(ConnectError::NoAddress)?;
    let found = tokio::net::lookup_host(host).await.map_err(|_| unreachable())?;
    let own = endpoint.quinn.local_addr().map_err(|_| ConnectError::ShutDown)?;
    let fits = |remote: &SocketAddr| remote.is_ipv4() == own.is_ipv4();
    let remote = found.into_iter().find(fits).ok_or_else(unreachable)?;
    let connecting = endpoint.quinn.connect(remote, tls::SERVER_NAME).map_err(|_| unreachable())?;
    let connection = connecting.await.map_err(|error| match (tls::flaw(&error), error) {
        // Said by the other side: it will not have this one.
        (Some(flaw), ConnectionError::ConnectionClosed(_)) => {
            ConnectError::Refused(CloseReason::NotAdmitted(flaw))
        }
        (Some(flaw), _) => ConnectError::Untrusted { address: address.clone(), flaw },
        _ => unreachable(),
    })?;
    let found = tls::peer(&connection).ok_or_else(unreachable)?;
    match expected {
        Some(expected) if found != expected => {
            disconnect(&connection, CloseReason::Closed);
            if found == endpoint.me().peer {
                return Err(ConnectError::SelfDial);
            }
            Err(ConnectError::WrongPeer { expected, found })
        }
        _ => Ok(connection),
    }
}

/// Flushes links and closes them; whatever is not delivered within `grace` is given up.
pub(crate) async fn close(
    endpoint: Arc<Endpoint>,
    links: Vec<Arc<Link>>,
    reason: CloseReason,
    grace: Duration,
) {
    let mut news = endpoint.news();
    for link in &links {
        let writer = link.out().begin_close(reason);
        writer.into_iter().for_each(core::task::Waker::wake);
    }
    let all_down = async {
        while links.iter().any(|link| link.down.get().is_none()) {
            if news.changed().await.is_err() {
                return;
            }
        }
    };
    if timeout(grace, all_down).await.is_err() {
        for link in &links {
            endpoint.cut(&mut endpoint.directory(), link.id, reason);
        }
    }
}

/// Refuses everything new, delivers what was accepted, closes.
pub(crate) async fn shutdown(endpoint: Arc<Endpoint>, grace: Duration) {
    endpoint.directory().left = true;
    endpoint.tell();
    endpoint.quinn.set_server_config(None);
    close(Arc::clone(&endpoint), endpoint.links(), CloseReason::ShuttingDown, grace).await;
    let (code, detail) = frame::close_code(CloseReason::ShuttingDown);
    endpoint.quinn.close(VarInt::from_u32(code), &detail);
    // Out of time: the other sides notice by their own timeout.
    let _ = timeout(grace, endpoint.quinn.wait_idle()).await;
}
