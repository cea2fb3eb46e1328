//! Sources of addresses outside the mesh, and places where a peer is announced.

#[cfg(feature = "mdns")]
mod mdns;

use core::time::Duration;

use async_trait::async_trait;
use formic_core::{
    discovery::{Discovery, DiscoveryError},
    transport::Address,
};

#[cfg(feature = "mdns")]
pub use mdns::{BadLabel, Mdns, Reach};

/// The system's resolver may try several servers in turn; a round need not wait for the last one.
const PATIENCE: Duration = Duration::from_secs(5);

/// All addresses of a host name, each with the same port: A and AAAA records by the system's resolver, so that
/// `/etc/hosts`, search domains and a cluster's headless services work as everywhere else on the host.
///
/// SRV records are not asked for: the port is part of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    scheme: String,
    host: String,
    port: u16,
}

/// Why a text names no host. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no host: expected NAME:PORT, e.g. peers.example.org:7001")]
pub struct BadName {
    /// The refused text.
    pub text: String,
}

impl Dns {
    /// Hosts called `NAME:PORT`, reached by the transport of this scheme.
    ///
    /// # Errors
    /// No name or no port.
    pub fn new(scheme: &str, text: &str) -> Result<Self, BadName> {
        let bad = || BadName { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?;
        if host.is_empty() || host.contains([':', '/']) {
            return Err(bad());
        }
        Ok(Self { scheme: scheme.to_owned(), host: host.to_owned(), port })
    }
}

#[async_trait]
impl Discovery for Dns {
    fn name(&self) -> String {
        format!("dns:{}:{}", self.host, self.port)
    }

    async fn find(&self) -> Result<Vec<Address>, DiscoveryError> {
        let asked = tokio::net::lookup_host((self.host.as_str(), self.port));
        let failed = |what: String| DiscoveryError::new(self.name(), what);
        let found = tokio::time::timeout(PATIENCE, asked).await;
        let found = found.map_err(|_| failed(format!("no answer in {} s", PATIENCE.as_secs())))?;
        let found = found.map_err(|error| failed(error.to_string()))?;
        Ok(found.map(|address| Address::new(&self.scheme, &address.to_string())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_gives_all_its_addresses_with_the_port() {
        let found = Dns::new("quic", "localhost:7001").unwrap().find().await.unwrap();
        assert!(found.contains(&Address::new("quic", "127.0.0.1:7001")), "{found:?}");
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_an_error_that_names_it() {
        let error = Dns::new("quic", "no-such-host.invalid:1").unwrap().find().await.unwrap_err();
        assert_eq!(error.name, "dns:no-such-host.invalid:1");
    }

    #[test]
    fn a_bad_name_says_what_is_expected() {
        for bad in ["", "host", "host:", ":1", "host:0", "host:99999", "a:b:1", "quic://h:1"] {
            assert!(Dns::new("quic", bad).is_err(), "{bad:?}");
        }
    }
}
