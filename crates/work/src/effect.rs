use std::sync::Arc;

use formic_core::{Capability, Descriptor, Life};

use crate::{Message, Place, TaskId};

/// What is to be done outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send to this life, which may be this life itself.
    Send {
        /// To whom.
        to: Life,
        /// What.
        message: Message,
    },
    /// Who can do this? Answered by [`Input::Chosen`](crate::Input::Chosen).
    Choose {
        /// Sorted, unique.
        requires: Vec<Capability>,
    },
    /// The task goes to this life (W5). A second one for an attempt moves the task.
    Placed {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// Where.
        life: Life,
    },
    /// Run this body here.
    Start {
        /// The task.
        task: TaskId,
        /// Which attempt.
        attempt: u16,
        /// What to do.
        descriptor: Arc<Descriptor>,
        /// Whether it holds a slot.
        place: Place,
    },
    /// A waiting body has a slot again.
    Resume {
        /// Whose body.
        task: TaskId,
    },
    /// No live peer can do this; it is held until one can. Once per task.
    Unplaceable {
        /// The task.
        task: TaskId,
        /// What nobody has, or no single peer has together.
        missing: Vec<Capability>,
    },
    /// Too much is held back: acknowledge no further spawns.
    Full,
    /// Spawns may be acknowledged again.
    NotFull,
}
