//! The one interface every protocol has (architecture.md).

use std::collections::VecDeque;

use crate::{Fault, Time};

/// A pure state machine: same inputs at the same times, same effects.
pub trait Protocol {
    /// What happened outside.
    type Input;
    /// What is to be done outside.
    type Effect;
    /// Why an input was refused.
    type Error: Blame;

    /// Feeds one input.
    ///
    /// # Errors
    /// The input is refused: nothing was pushed and the state is unchanged.
    fn handle(
        &mut self,
        now: Time,
        input: Self::Input,
        out: &mut impl Sink<Self::Effect>,
    ) -> Result<(), Self::Error>;

    /// When to feed `Input::Deadline` next. No timer tokens, so none can go stale.
    fn deadline(&self) -> Option<Time>;
}

/// Tells code whose fault an error is; the driver acts on that alone.
pub trait Blame {
    /// Whose fault it is.
    fn fault(&self) -> Fault;
}

/// Where effects go, in order.
pub trait Sink<E> {
    /// Appends one effect.
    fn push(&mut self, effect: E);
}

impl<E> Sink<E> for Vec<E> {
    fn push(&mut self, effect: E) {
        Self::push(self, effect);
    }
}

impl<E> Sink<E> for VecDeque<E> {
    fn push(&mut self, effect: E) {
        self.push_back(effect);
    }
}
