use formic_core::{Life, Time};

/// What is believed about a watched life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Belief {
    /// Watched, not heard yet.
    Unheard,
    /// Heard within the timeout.
    Up,
    /// Silent for longer.
    Down,
    /// Gone for good: it left, its process reported its end, or a newer life was seen.
    Ended,
}

/// A watched life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) life: Life,
    pub(crate) belief: Belief,
    pub(crate) heard: Time,
    /// The newest beat.
    pub(crate) seq: u64,
}

impl Subject {
    pub(crate) const fn new(life: Life, now: Time) -> Self {
        Self { life, belief: Belief::Unheard, heard: now, seq: 0 }
    }
}
