//! Where peers may be found. A separate question from how to talk to them: hints only, for a peer is
//! who its key says (transport.md section 8).

use async_trait::async_trait;

use crate::transport::Address;

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

/// Why a source brought nothing. The environment's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
#[non_exhaustive]
pub struct DiscoveryError {
    /// Which source.
    pub name: String,
    /// What went wrong, for people.
    pub what: String,
}

impl DiscoveryError {
    /// A source's failure.
    pub fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into() }
    }
}
