use std::time::{SystemTime, UNIX_EPOCH};

use formic_core::{Incarnation, Life};
use formic_identity::SecretKey;
use zeroize::Zeroizing;

use crate::Error;

/// Who a peer or a client is: its key, and which of its lives this is.
///
/// A transport is opened for [`Identity::life`], and a peer is started over that transport with the same identity.
#[derive(Clone, Debug)]
pub struct Identity {
    secret: SecretKey,
    incarnation: Incarnation,
}

impl Identity {
    /// A new peer in its first life, known to nobody and kept nowhere: for peers without a state directory.
    ///
    /// # Errors
    /// [`Error::Entropy`] where the system has no randomness to give.
    pub fn fresh() -> Result<Self, Error> {
        Ok(Self::of(&*random_seed()?, Incarnation(1)))
    }

    /// A client with a key that others know, in a later life than any before: of clients of one key that run at once, the
    /// latest has the links.
    pub fn client(secret: SecretKey) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            secret,
            incarnation: Incarnation(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)),
        }
    }

    /// The peer whose key belongs to `seed`, in this life.
    pub(crate) fn of(seed: &[u8; 32], incarnation: Incarnation) -> Self {
        Self { secret: SecretKey::from_seed(*seed), incarnation }
    }

    /// The same peer in another of its lives.
    pub(crate) fn in_life(&self, incarnation: Incarnation) -> Self {
        Self { secret: self.secret.clone(), incarnation }
    }

    /// The secret key.
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// Which life this is.
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The peer and its incarnation: what a transport is opened for.
    pub fn life(&self) -> Life {
        Life::new(self.secret.public().peer_id(), self.incarnation)
    }
}

/// 32 bytes from the system.
pub(crate) fn random_seed() -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(Error::Entropy)?;
    Ok(seed)
}
