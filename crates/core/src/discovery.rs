//! Where peers may be found. A separate question from how to talk to them: hints only, for a peer is
//! who its key says (transport.md section 8).

use async_trait::async_trait;

use crate::{Digest, PeerId, transport::Address};

/// The most addresses that one round of one source may bring.
pub const HINTS_MAX: usize = 64;

/// A source of addresses outside the mesh. Object safe.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Its name for logs, as the user wrote it.
    fn name(&self) -> String;

    /// Looks once. At most [`HINTS_MAX`] of the answers are used.
    ///
    /// # Errors
    /// The source could not be asked; it may be asked again.
    async fn find(&self) -> Result<Vec<Address>, DiscoveryError>;
}

/// A place where a peer can be announced, for those who look there. Object safe.
#[async_trait]
pub trait Announce: Send + Sync + 'static {
    /// Its name for logs, as the user wrote it.
    fn name(&self) -> String;

    /// Lets others find the peer there, until it is withdrawn or announced otherwise.
    ///
    /// # Errors
    /// The place could not be used; nothing is announced there, and it may be tried again.
    async fn announce(&self, me: &Announcement) -> Result<(), DiscoveryError>;

    /// Takes back what is announced, if anything is. A failure is not told: what is announced ends by itself.
    async fn withdraw(&self);
}

/// What a member says of itself to those outside its mesh. Proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Who.
    pub peer: PeerId,
    /// Of which mesh. A place shows no more of it than tells meshes apart.
    pub mesh: Digest,
    /// Where it is reached.
    pub addresses: Vec<Address>,
}

/// Why a source brought nothing, or a place takes no announcement. The environment's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
#[non_exhaustive]
pub struct DiscoveryError {
    /// Which source or place.
    pub name: String,
    /// What went wrong, for people.
    pub what: String,
}

impl DiscoveryError {
    /// The failure of a source or a place.
    pub fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into() }
    }
}
