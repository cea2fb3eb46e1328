//! The suite of transport.md section 11, on each transport.

use std::net::SocketAddr;

use async_trait::async_trait;
use formic::{Incarnation, Life};
use formic_conformance::{End, Fixture, Probe, conformance};
use formic_core::PeerId;
use formic_identity::SecretKey;
use formic_memory::Hub;
use formic_quic::{Config, Quic};

struct Memory(Hub<Probe>);

#[async_trait]
impl Fixture for Memory {
    async fn end(&self, peer: u8, incarnation: u64) -> End {
        let life = Life::new(PeerId::from_bytes([peer; 32]), Incarnation(incarnation));
        self.0.join(life, &life.to_string()).unwrap()
    }
}

struct Loopback;

#[async_trait]
impl Fixture for Loopback {
    async fn end(&self, peer: u8, incarnation: u64) -> End {
        let secret = SecretKey::from_seed([peer; 32]);
        let life = Life::new(secret.public().peer_id(), Incarnation(incarnation));
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Quic::<Probe>::bind(Config::new(listen, life, secret)).await.unwrap()
    }
}

mod memory {
    use super::*;
    conformance!(Memory(Hub::new()));
}

mod quic {
    use super::*;
    conformance!(Loopback);
}
