//! Multicast DNS: peers of one host, or of one link, find each other without any server.

use core::{fmt, time::Duration};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use formic_core::{
    Digest,
    discovery::{Announce, Announcement, Discovery, DiscoveryError, HINTS_MAX},
    transport::Address,
};
use mdns_sd::{IfKind, MDNS_PORT, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::time::{Instant, timeout_at};

const SERVICE: &str = "_formic._udp.local.";
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The version of the properties of an announcement.
const VERSION: &str = "1";
/// Digits of a peer's id that name its service: what one label holds, and enough that no two peers share them.
const ID_DIGITS: usize = 32;
/// Digits of the mesh id's hash: the first 8 bytes.
const MESH_DIGITS: usize = 16;
/// One round at most. Who has just answered somebody else answers the second question only, a second after the first.
const ROUND_MAX: Duration = Duration::from_secs(2);
/// A round that found somebody ends when nobody else is heard for this long: answers are up to 120 ms apart (RFC 6762).
const QUIET: Duration = Duration::from_millis(250);
/// What one round looks at, useful or not: whoever floods the link ends the round, not the peer.
const HEARD_MAX: usize = 1_024;
/// Addresses of one peer that count.
const ADDRESSES_MAX: usize = 8;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How far questions and announcements go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// IPv4 loopback only: peers of this host, heard by nobody else. The loopback of IPv6 often has no multicast.
    Host,
    /// All other interfaces: the links that this host is on.
    Link,
}

/// Peers that are announced by multicast DNS as `_formic._udp.local`.
///
/// An announcement has the peer's port and addresses and, as properties, `v` (the version of these properties), `id`
/// (the peer), `mesh` (the first 8 bytes of the SHA-256 of the mesh id) and `name`, if one was chosen. Nothing of it is
/// proved: it is a hint where to dial.
///
/// Each round has a socket and a thread of its own, so that a host that gets or loses its network meanwhile needs no
/// restart. One value announces one peer.
pub struct Mdns {
    scheme: String,
    /// Chosen by people: only who is announced under the same one is found.
    label: Option<String>,
    reach: Reach,
    /// 5353, except in tests.
    port: u16,
    /// Answers for what is announced.
    announcer: Mutex<Option<Daemon>>,
}

/// Why a text names no group of peers. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name for mdns: expected 1 to 63 letters, digits and -")]
pub struct BadLabel {
    /// The refused text.
    pub text: String,
}

impl Mdns {
    /// Peers reached by the transport of this scheme, whatever they are announced as.
    pub fn new(scheme: &str, reach: Reach) -> Self {
        let scheme = scheme.to_owned();
        Self { scheme, label: None, reach, port: MDNS_PORT, announcer: Mutex::default() }
    }

    /// Only peers that are announced under this name.
    ///
    /// # Errors
    /// Other than 1 to 63 letters, digits and `-`.
    pub fn named(mut self, label: &str) -> Result<Self, BadLabel> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if label.is_empty() || label.len() > 63 || !label.bytes().all(is_plain) {
            return Err(BadLabel { text: label.to_owned() });
        }
        self.label = Some(label.to_owned());
        Ok(self)
    }

    /// Whether this host can send multicast at all.
    ///
    /// # Errors
    /// It cannot, and why.
    pub fn check(&self) -> Result<(), DiscoveryError> {
        let (source, place) = match self.reach {
            Reach::Host => (Ipv4Addr::LOCALHOST, "on loopback"),
            Reach::Link => (Ipv4Addr::UNSPECIFIED, "on this network"),
        };
        probe(source).map_err(|error| self.failed(format!("no multicast {place}: {error}")))
    }

    fn text(&self) -> String {
        self.label.as_ref().map_or_else(|| "mdns".to_owned(), |label| format!("mdns:{label}"))
    }

    fn failed(&self, what: impl fmt::Display) -> DiscoveryError {
        DiscoveryError::new(self.text(), what.to_string())
    }

    fn unreached(&self, me: &Announcement) -> DiscoveryError {
        let wanted = match self.reach {
            Reach::Host => "a peer of this host listens on IPv4 loopback",
            Reach::Link => "a peer of this link listens beyond loopback",
        };
        let addresses: Vec<String> = me.addresses.iter().map(ToString::to_string).collect();
        self.failed(format!("{wanted}, not on {}", addresses.join(", ")))
    }

    fn open(&self) -> Result<Daemon, DiscoveryError> {
        self.check()?;
        Daemon::open(self.port, self.reach).map_err(|error| self.failed(error))
    }

    /// Where a service is reached; nothing if it is not what this looks for.
    fn addresses(&self, found: &ResolvedService) -> Vec<Address> {
        let property = |key| found.txt_properties.get_property_val_str(key);
        let is_asked_for = property("v") == Some(VERSION)
            && self.label.as_deref().is_none_or(|label| property("name") == Some(label));
        if !is_asked_for || found.port == 0 {
            return Vec::new();
        }
        let ips = found.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
        let ips: BTreeSet<IpAddr> = ips.filter(|ip| self.reaches(*ip)).collect();
        let sockets = ips.into_iter().take(ADDRESSES_MAX).map(|ip| SocketAddr::new(ip, found.port));
        sockets.map(|socket| Address::new(&self.scheme, &socket.to_string())).collect()
    }

    /// Whether an address is one of those that are told and dialled this far.
    fn reaches(&self, ip: IpAddr) -> bool {
        let is_usable = match ip {
            IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
            // A link-local one is reached together with an interface only, which an address does not name.
            IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unicast_link_local(),
        };
        let is_this_far = match self.reach {
            Reach::Host => ip.is_loopback() && ip.is_ipv4(),
            Reach::Link => !ip.is_loopback(),
        };
        is_usable && is_this_far && !ip.is_unspecified()
    }

    /// The service of a peer; `None` if it has no address that is reached this far.
    fn service(&self, me: &Announcement) -> Option<mdns_sd::Result<ServiceInfo>> {
        let sockets = me.addresses.iter().filter_map(|address| self.socket(address));
        let sockets: Vec<SocketAddr> = sockets.collect();
        // A service has one port.
        let port = sockets.first()?.port();
        let at_port = sockets.iter().filter(|socket| socket.port() == port);
        let ips: Vec<IpAddr> = at_port.map(SocketAddr::ip).collect();
        let (id, mesh) = (me.peer.to_string(), Digest::of(&[me.mesh.as_bytes()]).to_string());
        let instance = &id[..ID_DIGITS];
        let mut properties = vec![("v", VERSION), ("id", &id), ("mesh", &mesh[..MESH_DIGITS])];
        properties.extend(self.label.as_deref().map(|label| ("name", label)));
        let host = format!("formic-{instance}.local.");
        let service = ServiceInfo::new(SERVICE, instance, &host, &ips[..], port, &properties[..]);
        Some(service.map(|mut service| {
            // Its name is taken from a key: nobody else has it, and asking around would take a second.
            service.set_requires_probe(false);
            service
        }))
    }

    fn socket(&self, address: &Address) -> Option<SocketAddr> {
        let socket: SocketAddr = address.rest(&self.scheme)?.parse().ok()?;
        self.reaches(socket.ip()).then_some(socket)
    }

    fn replace_announcer(&self, new: Option<Daemon>) -> Option<Daemon> {
        core::mem::replace(&mut *self.announcer.lock().unwrap_or_else(PoisonError::into_inner), new)
    }
}

#[async_trait]
impl Discovery for Mdns {
    fn name(&self) -> String {
        self.text()
    }

    /// Cancel-safe: a dropped call leaves nothing behind.
    async fn find(&self) -> Result<Vec<Address>, DiscoveryError> {
        let daemon = self.open()?;
        let events = daemon.0.browse(SERVICE).map_err(|error| self.failed(error))?;
        let end = Instant::now() + ROUND_MAX;
        let mut found = BTreeSet::new();
        let mut until = end;
        for _ in 0..HEARD_MAX {
            let Ok(Ok(event)) = timeout_at(until, events.recv_async()).await else { break };
            let ServiceEvent::ServiceResolved(service) = event else { continue };
            found.extend(self.addresses(&service));
            if found.len() >= HINTS_MAX {
                break;
            }
            if !found.is_empty() {
                until = end.min(Instant::now() + QUIET);
            }
        }
        Ok(found.into_iter().take(HINTS_MAX).collect())
    }
}

#[async_trait]
impl Announce for Mdns {
    fn name(&self) -> String {
        self.text()
    }

    /// Cancel-safe.
    async fn announce(&self, me: &Announcement) -> Result<(), DiscoveryError> {
        let nowhere = || self.unreached(me);
        let service = self.service(me).ok_or_else(nowhere)?;
        let service = service.map_err(|error| self.failed(error))?;
        // What was announced before ends first, or its goodbye would take back the same name.
        self.withdraw().await;
        let daemon = self.open()?;
        daemon.0.register(service).map_err(|error| self.failed(error))?;
        drop(self.replace_announcer(Some(daemon)));
        Ok(())
    }

    /// Cancel-safe: a dropped call does not stop the withdrawing.
    async fn withdraw(&self) {
        let Some(daemon) = self.replace_announcer(None) else { return };
        if let Ok(gone) = daemon.0.shutdown() {
            // Who misses the goodbye hears no answer in the next round.
            drop(timeout_at(Instant::now() + GOODBYE, gone.recv_async()).await);
        }
    }
}

impl fmt::Debug for Mdns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mdns({}, {:?})", self.text(), self.reach)
    }
}

/// A thread that speaks mDNS on the interfaces that count, as long as this lives.
struct Daemon(ServiceDaemon);

impl Daemon {
    fn open(port: u16, reach: Reach) -> mdns_sd::Result<Self> {
        let daemon = Self(ServiceDaemon::new_with_port(port)?);
        match reach {
            Reach::Host => {
                daemon.0.disable_interface(IfKind::All)?;
                daemon.0.enable_interface(IfKind::LoopbackV4)?;
            }
            Reach::Link => {
                daemon.0.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
            }
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // If its thread has ended there is nobody to tell.
        drop(self.0.shutdown());
    }
}

/// Sends an empty datagram to the group, on a port that nobody listens on.
fn probe(source: Ipv4Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((source, 0))?;
    socket.join_multicast_v4(&GROUP, &source)?;
    socket.send_to(&[], (GROUP, socket.local_addr()?.port()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use formic_core::PeerId;

    use super::*;

    impl Mdns {
        /// Apart from all that speaks mDNS on this host.
        fn apart(label: Option<&str>, port: u16) -> Self {
            let mut source = Self::new("quic", Reach::Host);
            source.port = port;
            match label {
                Some(label) => source.named(label).unwrap(),
                None => source,
            }
        }
    }

    /// Calls that hang have failed; nothing else is timed.
    const WATCHDOG: Duration = Duration::from_secs(60);

    fn me(number: u8, address: &str) -> Announcement {
        let addresses = vec![Address::new("quic", address)];
        Announcement {
            peer: PeerId::from_bytes([number; 32]),
            mesh: Digest::of(&[b"mesh"]),
            addresses,
        }
    }

    /// A port that nobody on this host speaks mDNS on; `None`, loudly, where there is no multicast.
    fn port() -> Option<u16> {
        if let Err(error) = Mdns::new("quic", Reach::Host).check() {
            eprintln!("NOT RUN: {error}");
            return None;
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Some(socket.local_addr().unwrap().port())
    }

    async fn until_found(source: &Mdns, wanted: &[Address]) {
        let mut found = Vec::new();
        let search = async {
            while found != wanted {
                found = source.find().await.unwrap();
            }
        };
        let ended = tokio::time::timeout(WATCHDOG, search).await;
        assert!(ended.is_ok(), "{source:?} finds {found:?} instead of {wanted:?}");
    }

    #[tokio::test]
    async fn peers_of_one_host_find_each_other_until_they_go() {
        let Some(port) = port() else { return };
        let [ants, bees, all] =
            [Some("ants"), Some("bees"), None].map(|label| Mdns::apart(label, port));
        let (ant, bee) = (me(1, "127.0.0.1:7001"), me(2, "127.0.0.2:7002"));
        ants.announce(&ant).await.unwrap();
        bees.announce(&bee).await.unwrap();
        until_found(&all, &[ant.addresses.clone(), bee.addresses.clone()].concat()).await;
        until_found(&Mdns::apart(Some("ants"), port), &ant.addresses).await;
        until_found(&bees, &bee.addresses).await;
        let moved = me(1, "127.0.0.1:7003");
        ants.announce(&moved).await.unwrap();
        until_found(&ants, &moved.addresses).await;
        ants.withdraw().await;
        until_found(&all, &bee.addresses).await;
        drop(bees);
        until_found(&all, &[]).await;
    }

    /// Whatever else is said on the link, in no order.
    fn spoil(port: u16, daemon: &ServiceDaemon) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for bytes in [&[][..], &[0xff; 3], &[0xff; 64], &[0; 12], &[0xc0; 1_200]] {
            socket.send_to(bytes, (GROUP, port)).unwrap();
            socket.send_to(bytes, (Ipv4Addr::LOCALHOST, port)).unwrap();
        }
        let say = |instance: &str, ip: &str, port: u16, properties: &[(&str, &str)]| {
            let host = format!("{instance}.local.");
            let service = ServiceInfo::new(SERVICE, instance, &host, ip, port, properties);
            daemon.register(service.unwrap()).unwrap();
        };
        let ants = [("v", VERSION), ("name", "ants")];
        say("later", "127.0.0.1", 1, &[("v", "2"), ("name", "ants")]);
        say("other", "127.0.0.1", 2, &[("v", VERSION), ("name", "bees")]);
        say("bare", "127.0.0.1", 3, &[]);
        say("portless", "127.0.0.1", 0, &ants);
        say("nameless", "127.0.0.1", 4, &[("v", VERSION)]);
    }

    #[tokio::test]
    async fn garbage_is_ignored() {
        let Some(port) = port() else { return };
        let (ants, ant) = (Mdns::apart(Some("ants"), port), me(1, "127.0.0.1:7001"));
        let liar = Daemon::open(port, Reach::Host).unwrap();
        spoil(port, &liar.0);
        ants.announce(&ant).await.unwrap();
        // What the liar says is seen by those who look for it.
        let bees = [Address::new("quic", "127.0.0.1:2")];
        until_found(&Mdns::apart(Some("bees"), port), &bees).await;
        spoil(port, &liar.0);
        until_found(&ants, &ant.addresses).await;
    }

    async fn until_full(source: &Mdns) {
        while source.find().await.unwrap().len() != HINTS_MAX {}
    }

    #[tokio::test]
    async fn a_crowd_brings_no_more_than_a_round_may() {
        let Some(port) = port() else { return };
        let crowd = Daemon::open(port, Reach::Host).unwrap();
        for number in 0..80_u16 {
            let (instance, host) = (format!("p{number}"), format!("h{number}.local."));
            let properties = [("v", VERSION)];
            let service = ServiceInfo::new(
                SERVICE,
                &instance,
                &host,
                "127.0.0.1",
                1 + number,
                &properties[..],
            );
            crowd.0.register(service.unwrap()).unwrap();
        }
        let all = Mdns::apart(None, port);
        tokio::time::timeout(WATCHDOG, until_full(&all)).await.expect("fewer are found");
    }

    #[tokio::test]
    async fn what_cannot_be_reached_from_there_is_not_announced() {
        let host = Mdns::new("quic", Reach::Host).named("ants").unwrap();
        for address in ["192.0.2.1:7001", "0.0.0.0:7001", "[::1]:7001", "nonsense"] {
            let error = host.announce(&me(1, address)).await.unwrap_err();
            assert_eq!(error.name, "mdns:ants");
            assert!(error.what.contains("a peer of this host"), "{error}");
        }
        let link = Mdns::new("quic", Reach::Link);
        assert!(link.announce(&me(1, "127.0.0.1:7001")).await.is_err());
    }

    #[test]
    fn a_bad_label_says_what_is_expected() {
        for bad in ["", "two_words", "a b", "\u{e4}", &"a".repeat(64)] {
            let error = Mdns::new("quic", Reach::Host).named(bad).unwrap_err();
            assert_eq!(error.text, bad);
        }
    }
}
