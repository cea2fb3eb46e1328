//! For models: time as differences, so that states that differ in the clock alone are one.

use core::time::Duration;

use formic_core::{Epoch, Life, PeerId, Time};

use super::{Claims, Fence, Message, Record, Refusal, Snapshot, Stage, Stamp, Task, Value};

/// The present of a model: the past fits before it.
pub(crate) const PRESENT: Time = Time::from_us(60_000_000);

/// What a model must know of a replica to tell which messages still matter to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) promised: Option<Stamp>,
    pub(crate) accepted: Option<Stamp>,
    pub(crate) installed: Option<Epoch>,
}

impl<V> Claims<V> {
    /// Makes the last moment zero and moves every stored one along.
    pub(crate) fn shift(&mut self) {
        let by = self.now.since(Time::ZERO);
        self.now = Time::ZERO;
        self.transfer = self.transfer.map(|at| at - by);
        self.claims.values_mut().for_each(|claim| claim.shift(by));
        for lease in self.registers.values_mut().flat_map(|register| &mut register.leases) {
            lease.end = lease.end - by;
        }
    }
}

impl<V: Value> Claims<V> {
    /// Moves the past away by so much; the present stays.
    pub(crate) fn elapse(&mut self, by: Duration) {
        self.claims.values_mut().for_each(|claim| claim.shift(by));
        for lease in self.registers.values_mut().flat_map(|register| &mut register.leases) {
            lease.end = (lease.end - by).max(PRESENT);
        }
    }

    /// Ends all leases that this replica gave.
    pub(crate) fn end_leases(&mut self) {
        for lease in self.registers.values_mut().flat_map(|register| &mut register.leases) {
            lease.end = PRESENT;
        }
    }

    /// Forgets how long anything but a lease takes, so that every timer is due at once; what only says
    /// whom to remind, since what was sent once may arrive again; and what a replica that knows the
    /// decision never looks at again.
    pub(crate) fn forget(&mut self) {
        self.now = PRESENT;
        self.fresh = false;
        self.claims.values_mut().for_each(|claim| claim.forget());
        for register in self.registers.values_mut() {
            register.hints.clear();
            if let Some((stamp, _)) = &mut register.decided {
                *stamp = nobody();
                (register.promised, register.accepted) = (None, None);
                register.leases.clear();
            }
        }
        let pulls = |task: &Task| !self.registers[task].pulling.is_empty();
        self.moving.retain(pulls);
        self.transfer = (!self.moving.is_empty()).then_some(PRESENT);
    }

    /// The try of `task` that this life is at, and how far it is.
    pub(crate) fn stage(&self, task: Task) -> Option<(Stamp, Stage)> {
        self.claims.get(&task).and_then(|claim| claim.stage())
    }

    pub(crate) fn kept(&self, task: Task) -> Option<Kept> {
        let register = self.registers.get(&task)?;
        let accepted = register.accepted.as_ref().map(|(stamp, _)| *stamp);
        Some(Kept { promised: register.promised, accepted, installed: register.installed })
    }

    /// Whether this state says nothing that its receiver does not know, now and later: both rise.
    pub(crate) fn knows(
        &self,
        task: Task,
        epoch: Epoch,
        from: PeerId,
        state: &Snapshot<V>,
    ) -> bool {
        let Some(register) = self.registers.get(&task) else { return false };
        let answered = register.pulling.get(&epoch).is_some_and(|peers| peers.contains(&from));
        let fence = |stamp: Option<Stamp>| stamp.map(|stamp| stamp.fence);
        let at = |value: &Option<(Stamp, V)>| value.as_ref().map(|(stamp, _)| *stamp);
        let known = fence(state.promised) <= fence(register.promised)
            && at(&state.accepted) <= at(&register.accepted)
            && state.decided.is_none()
            && state.leases.is_empty();
        answered && (known || register.decided.is_some())
    }

    /// The view that this peer answers for.
    pub(crate) fn answers_for(&self) -> Option<Epoch> {
        self.entered()
    }
}

fn nobody() -> Stamp {
    let holder = Life::new(PeerId::from_bytes([0; 32]), formic_core::Incarnation(0));
    Stamp { fence: Fence { epoch: Epoch(0), attempt: 0 }, holder }
}

/// A record without what nobody looks at after a decision.
pub(crate) fn forget_record<V: Clone>(record: Record<V>) -> Record<V> {
    let Record::Register { task, born, installed, state } = record else { return record };
    let state = match *state {
        Snapshot { decided: Some((_, value)), .. } => Snapshot {
            promised: None,
            accepted: None,
            decided: Some((nobody(), value)),
            leases: vec![],
        },
        state => state,
    };
    Record::Register { task, born, installed, state: Box::new(state) }
}

/// A message without what makes no difference where every timer is due at once.
pub(crate) fn forget_message<V: Clone>(message: Message<V>) -> Message<V> {
    match message {
        Message::Refuse { ask, why: Refusal::Held { .. } } => {
            Message::Refuse { ask, why: Refusal::Held { remaining: Duration::from_millis(1) } }
        }
        Message::Decided { task, born, value, .. } => {
            Message::Decided { task, born, stamp: nobody(), value }
        }
        message => message,
    }
}
