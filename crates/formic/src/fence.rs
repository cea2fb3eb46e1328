use core::fmt;

use formic_core::Key;

/// What a body of an exclusive task shows to outside systems. Of one `key` fences rise: whoever has seen a higher one
/// must refuse this one. A system that does not compare them may see the effect more than once, though never from two
/// bodies that both hold the task.
///
/// Written `KEY.VIEW.ATTEMPT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The task. A retry after a failure is another task.
    pub key: Key,
    /// The view whose members granted it.
    pub view: u64,
    /// Which try in that view.
    pub attempt: u64,
}

impl Fence {
    pub(crate) const fn new(key: Key, fence: formic_node::Fence) -> Self {
        Self { key, view: fence.epoch.0, attempt: fence.attempt }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.key, self.view, self.attempt)
    }
}
