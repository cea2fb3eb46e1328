use std::sync::Arc;

use async_trait::async_trait;
use formic_core::transport::Transport;
use serde::{Deserialize, Serialize};

/// What the suite sends: numbered from 0 on each link and class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its number.
    pub number: u64,
    /// Payload.
    pub body: Vec<u8>,
}

/// One end of the transport under test.
pub type End = Arc<dyn Transport<Probe>>;

/// Makes ends of one transport.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// The end of a life of the peer with this number, 1 to 20. Each life is asked for once; ends of one fixture reach
    /// each other.
    ///
    /// # Panics
    /// If the environment allows none.
    async fn end(&self, peer: u8, incarnation: u64) -> End;
}
