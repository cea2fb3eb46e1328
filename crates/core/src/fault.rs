use crate::PeerId;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A bug or a mistake on this side of the interface.
    Caller,
    /// The named peer sent what no correct peer sends.
    Peer(PeerId),
    /// Nobody's: a full disk, a lost network, an overload.
    Environment,
}
