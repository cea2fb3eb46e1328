//! The suite of transport.md section 11, on each transport.

use core::time::Duration;
use std::net::SocketAddr;

use async_trait::async_trait;
use formic::{Incarnation, Life};
use formic_conformance::{End, Fixture, Probe, conformance};
use formic_core::PeerId;
use formic_identity::SecretKey;
use formic_memory::{Delay, Faults, Faulty, Hub, Storm, Weather};
use formic_quic::{Authority, Config, Quic};

const HOUR: Duration = Duration::from_secs(3_600);

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

/// Peers of a mesh with certificates.
struct Members(Authority);

#[async_trait]
impl Fixture for Members {
    async fn end(&self, peer: u8, incarnation: u64) -> End {
        let secret = SecretKey::from_seed([peer; 32]);
        let membership = self.0.admit(&secret.public(), HOUR).unwrap();
        let life = Life::new(secret.public().peer_id(), Incarnation(incarnation));
        let mut config = Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), life, secret);
        config.membership = Some(membership);
        Quic::<Probe>::bind(config).await.unwrap()
    }
}

/// Another transport behind faults that every transport may have.
struct Legal<F>(F, Faults);

impl<F> Legal<F> {
    fn around(inner: F) -> Self {
        let faults = Faults::legal(7);
        let ms = Duration::from_millis;
        let mut weather = Weather::default();
        weather.delay = Delay::Uniform { min: Duration::ZERO, max: ms(3) };
        (weather.unreliable.loss, weather.unreliable.reorder) = (200, 200);
        let mut storm = Storm::default();
        (storm.permille, storm.lasts) = (2, ms(2));
        weather.storm = storm;
        faults.weather(weather).unwrap();
        Self(inner, faults)
    }
}

#[async_trait]
impl<F: Fixture> Fixture for Legal<F> {
    async fn end(&self, peer: u8, incarnation: u64) -> End {
        Faulty::around(self.0.end(peer, incarnation).await, &self.1).unwrap()
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

mod quic_certified {
    use super::*;
    conformance!(Members(Authority::new(SecretKey::from_seed([99; 32]), 24 * HOUR).unwrap()));
}

mod legal_faults_over_memory {
    use super::*;
    conformance!(Legal::around(Memory(Hub::new())));
}

mod legal_faults_over_quic {
    use super::*;
    conformance!(Legal::around(Loopback));
}
