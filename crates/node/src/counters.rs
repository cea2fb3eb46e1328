use std::collections::BTreeMap;

use formic_core::PeerId;

/// What went wrong so far: monotone counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages of lives that are no members, which only members may send. Normal for a moment after
    /// a link came up.
    pub strangers: u64,
    /// Messages about jobs that are not known here.
    pub unknown_jobs: u64,
    /// Electorates or cases that this peer has no room for.
    pub votes_dropped: u64,
    /// Refused messages by peer.
    pub misbehaved: BTreeMap<PeerId, u64>,
    /// Inputs that one protocol refused from another, e.g. the end of a body that was just stopped.
    pub out_of_turn: u64,
}
