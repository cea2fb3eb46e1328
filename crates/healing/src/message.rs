use formic_core::transport::Class;
use serde::{Deserialize, Serialize};

/// What peers say to each other about being alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// I am here. Sent one way, never answered.
    Beat {
        /// One more with every round of beats.
        seq: u64,
    },
}

impl Message {
    /// How this message travels.
    pub const fn class(&self) -> Class {
        match self {
            Self::Beat { .. } => Class::Unreliable,
        }
    }
}
