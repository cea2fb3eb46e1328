//! Opening transports, for peers and for clients.

use core::time::Duration;
use std::{net::SocketAddr, sync::Arc};

use formic::{BadLabel, Client, Dns, Identity, Mdns, Reach};
use formic_core::{
    discovery::{Announce, Discovery},
    transport::{Address, Transport},
};
use formic_memory::Hub;
use formic_node::Message;
use formic_quic::{Config, Cut, Quic};

use crate::exit::{Exit, Stop};

/// How long a dial may take: loopback answers in milliseconds.
const DIAL: Duration = Duration::from_secs(1);

/// A transport of this mesh's messages.
pub(crate) type Link = Arc<dyn Transport<Message>>;

/// QUIC on a loopback address.
///
/// # Errors
/// Exit 2: no loopback address, or the port is taken.
pub(crate) async fn quic(
    listen: SocketAddr,
    identity: &Identity,
    cut: Option<Cut>,
) -> Result<Link, Stop> {
    let mut config = Config::new(listen, identity.life(), identity.secret().clone());
    config.cut = cut;
    // A member that does not answer is dialled again: a healed network is to be noticed soon.
    config.dial_timeout = DIAL;
    let bound = Quic::bind(config).await;
    let link: Link =
        bound.map_err(|error| Stop::usage(format!("--listen {listen}: {}", chain(&error))))?;
    Ok(link)
}

/// An end of a hub in this process.
///
/// # Errors
/// The name is taken, which is a bug of this program.
pub(crate) fn memory(hub: &Hub<Message>, identity: &Identity, name: &str) -> Result<Link, Stop> {
    let link: Link = hub.join(identity.life(), name).map_err(Stop::usage)?;
    Ok(link)
}

/// A client of the mesh that answers at `addresses`, over QUIC.
///
/// # Errors
/// No socket, no randomness.
pub(crate) async fn client(addresses: Vec<Address>) -> Result<Client, Stop> {
    let identity = identity()?;
    let link = quic(SocketAddr::from(([127, 0, 0, 1], 0)), &identity, None).await?;
    Ok(Client::new(link, addresses))
}

/// An identity that is kept nowhere.
///
/// # Errors
/// The system has no randomness to give.
pub(crate) fn identity() -> Result<Identity, Stop> {
    Identity::fresh().map_err(Stop::usage)
}

/// `HOST:PORT` or `quic:HOST:PORT`, for `--join`.
///
/// # Errors
/// Exit 2.
pub(crate) fn addresses(texts: &[String]) -> Result<Vec<Address>, Stop> {
    texts.iter().map(|text| address(text)).collect()
}

/// How a peer finds others and is found.
#[derive(Default)]
pub(crate) struct Contacts {
    pub(crate) seeds: Vec<Address>,
    /// They know of more.
    pub(crate) sources: Vec<Arc<dyn Discovery>>,
    /// Where it is announced.
    pub(crate) places: Vec<Arc<dyn Announce>>,
}

/// What `--join` of a peer may say: an address, `dns:NAME:PORT`, or `mdns[:NAME]`; and its `--announce`.
///
/// # Errors
/// Exit 2.
pub(crate) fn contacts(join: &[String], announce: Option<&str>) -> Result<Contacts, Stop> {
    let mut contacts = Contacts::default();
    if let Some(text) = announce {
        contacts.places.push(announcement(text)?);
    }
    for text in join {
        if let Some(name) = text.strip_prefix("dns:") {
            let source = Dns::new("quic", name)
                .map_err(|error| Stop::usage(format!("--join {text}: {error}")))?;
            contacts.sources.push(Arc::new(source));
        } else if let Some(source) = mdns(text) {
            let source = source.map_err(|error| Stop::usage(format!("--join {text}: {error}")))?;
            contacts.sources.push(Arc::new(source));
        } else {
            contacts.seeds.push(address(text)?);
        }
    }
    Ok(contacts)
}

/// What `--announce` may say.
fn announcement(text: &str) -> Result<Arc<Mdns>, Stop> {
    let usage = |why: &dyn core::fmt::Display| Stop::usage(format!("--announce {text}: {why}"));
    let place = mdns(text).ok_or_else(|| usage(&"expected mdns or mdns:NAME"))?;
    place.map(Arc::new).map_err(|error| usage(&error))
}

/// `mdns` or `mdns:NAME`; `None` for all else. Peers listen on loopback only, so this is how far they look.
fn mdns(text: &str) -> Option<Result<Mdns, BadLabel>> {
    let all = || Mdns::new("quic", Reach::Host);
    if text == "mdns" {
        return Some(Ok(all()));
    }
    text.strip_prefix("mdns:").map(|label| all().named(label))
}

fn address(text: &str) -> Result<Address, Stop> {
    let rest = text.strip_prefix("quic:").unwrap_or(text);
    match rest.parse::<SocketAddr>() {
        Ok(socket) if socket.port() != 0 => Ok(Address::new("quic", &socket.to_string())),
        _ => Err(Stop::usage(format!(
            "--join {text}: no address of a peer: expected IP:PORT, e.g. 127.0.0.1:7001"
        ))),
    }
}

/// A loopback address to listen on.
///
/// # Errors
/// Exit 2; other hosts need membership certificates, which this version does not have.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, Stop> {
    let rest = text.strip_prefix("quic:").unwrap_or(text);
    let socket: SocketAddr = rest.parse().map_err(|_| {
        Stop::usage(format!("--listen {text}: expected IP:PORT, e.g. 127.0.0.1:7001"))
    })?;
    if socket.ip().is_loopback() {
        return Ok(socket);
    }
    Err(Stop::usage(format!(
        "--listen {text}: other hosts could reach this address, and without membership certificates \
         anybody could join. {}",
        crate::plan::not_yet("Listening beyond loopback", "membership certificates")
    )))
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many messages end with their cause already.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What to say when nobody answers.
pub(crate) fn unreachable(error: &formic::ClientError) -> Stop {
    let exit = match error {
        formic::ClientError::Plan(_) => Exit::Usage,
        formic::ClientError::UnknownJob { .. } => Exit::Usage,
        _ => Exit::NoQuorum,
    };
    Stop::new(exit, chain(error))
}
