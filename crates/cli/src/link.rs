//! Opening transports, for peers and for clients.

use core::time::Duration;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use formic::{BadLabel, Client, Dns, Identity, Mdns, Reach};
use formic_core::{
    discovery::{Announce, Discovery},
    transport::{Address, Transport},
};
use formic_memory::Hub;
use formic_node::Message;
use formic_quic::{Config, Cut, Membership, Quic};

use crate::{
    exit::{Exit, Stop},
    hex,
    mesh_key::{self, MeshKey},
};

/// A certificate that ends this soon is worth a warning.
const SOON: Duration = Duration::from_secs(72 * 3_600);
/// How long a dial may take: loopback answers in milliseconds.
const DIAL: Duration = Duration::from_secs(1);

/// A transport of this mesh's messages.
pub(crate) type Link = Arc<dyn Transport<Message>>;

/// QUIC: on a loopback address, or for members of a mesh.
///
/// # Errors
/// Exit 2: anybody could join, or the port is taken.
pub(crate) async fn quic(
    listen: SocketAddr,
    identity: &Identity,
    (membership, cut): (Option<Membership>, Option<Cut>),
) -> Result<Link, Stop> {
    let mut config = Config::new(listen, identity.life(), identity.secret().clone());
    (config.membership, config.cut) = (membership, cut);
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

/// A client of the mesh that answers at `addresses`, over QUIC; with a certificate, of a mesh beyond this host.
///
/// # Errors
/// No socket, no randomness; exit 2: the certificate is unreadable or a peer's.
pub(crate) async fn client(addresses: Vec<Address>, key: Option<&Path>) -> Result<Client, Stop> {
    let Some(path) = key else {
        let link = quic(SocketAddr::from(([127, 0, 0, 1], 0)), &identity()?, (None, None)).await?;
        return Ok(Client::new(link, addresses));
    };
    let MeshKey { membership, secret, .. } = MeshKey::read(path)?;
    let secret = secret.ok_or_else(|| {
        Stop::usage(format!(
            "--mesh-key {}: this is a peer's certificate; a client has one with a key of its own: formic ca issue DIR \
             --client --out FILE",
            path.display()
        ))
    })?;
    mesh_key::take(path)?;
    let identity = Identity::client(secret);
    // Whichever way the peers are reached.
    let is_v6 = addresses.first().is_some_and(|address| address.to_string().contains('['));
    let any =
        if is_v6 { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
    let link = quic(SocketAddr::new(any, 0), &identity, (Some(membership), None)).await?;
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

/// An address to listen on.
///
/// # Errors
/// Exit 2: no address of a host, or beyond loopback without a membership certificate.
pub(crate) fn listen(text: &str, key: Option<&Path>) -> Result<SocketAddr, Stop> {
    let rest = text.strip_prefix("quic:").unwrap_or(text);
    let socket: SocketAddr = rest.parse().map_err(|_| {
        Stop::usage(format!("--listen {text}: expected IP:PORT, e.g. 127.0.0.1:7001"))
    })?;
    let nobody = match socket.ip() {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    };
    if socket.ip().is_unspecified() || nobody {
        let message =
            format!("--listen {text}: others need an address to dial; name one of this host's");
        return Err(Stop::usage(message));
    }
    if socket.ip().is_loopback() || key.is_some() {
        return Ok(socket);
    }
    Err(Stop::usage(format!(
        "--listen {text}: other hosts reach this address, and without certificates anybody could join: give --state DIR \
         and --mesh-key FILE (see `formic ca --help`)"
    )))
}

/// The membership of the peer with this identity.
///
/// # Errors
/// Exit 2: the file is unreadable, or of another peer.
pub(crate) fn membership(path: &Path, identity: &Identity) -> Result<Membership, Stop> {
    let MeshKey { membership, valid_until, .. } = MeshKey::read(path)?;
    let me = identity.life().peer;
    if membership.peer() == me {
        let rest = mesh_key::rest(valid_until);
        if rest < SOON {
            let hours = rest.as_secs() / 3_600;
            let what = "others link with this peer no more after that";
            crate::output::note(&format!(
                "--mesh-key {}: it ends in {hours} h: {what}",
                path.display()
            ));
        }
        return Ok(membership);
    }
    Err(Stop::usage(format!(
        "--mesh-key {}: it is of peer {}, and --state is of {}, which needs: formic ca issue DIR --key {} --out FILE",
        path.display(),
        membership.peer().short(),
        me.short(),
        hex::encode(&identity.secret().public().to_bytes())
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
        formic::ClientError::Connect(why) if why.flaw().is_some() => Exit::BadCertificate,
        _ => Exit::NoQuorum,
    };
    let hint = match error {
        formic::ClientError::Unreachable { .. } => {
            " (members of a mesh with certificates answer only to --mesh-key of the same authority)"
        }
        formic::ClientError::Connect(why) if why.flaw().is_some() => {
            " (--mesh-key has to be of the authority that the peers' certificates are of, and in its time: formic ca issue)"
        }
        _ => "",
    };
    Stop::new(exit, format!("{}{hint}", chain(error)))
}
