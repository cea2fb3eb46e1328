//! All that makes an input wrong, before anything changes (healing.md section 11).

use core::time::Duration;

use formic_core::Life;

use super::{
    CLAIMS_MAX, Claims, VALUE_MAX,
    claimant::Claim,
    ground::KNOWN_MAX,
    lease::{LEASE_MAX, LEASE_MIN},
    message::{Ask, Input, Message, Quorum, Snapshot, Task, Value},
};
use crate::Error;

/// How many leases of a task a replica tells of: more than ever overlap, few enough to scan.
const LEASES_MAX: usize = 64;

impl<V: Value> Claims<V> {
    pub(super) fn vet(&self, input: &Input<V>) -> Result<(), Error> {
        match input {
            Input::Restore(_) if !self.fresh => Err(Error::RestoreNotFirst),
            Input::View(view) if !self.views.follows(view) => {
                let current = self.views.epoch().unwrap_or_default();
                Err(Error::ViewOrder { current, next: view.epoch })
            }
            Input::Claim { task, lease, .. } => self.vet_claim(*task, *lease),
            Input::Commit { task, value } => {
                if value.size() > VALUE_MAX {
                    Err(Error::TooLarge { size: value.size(), limit: VALUE_MAX })
                } else if self.claims.get(task).is_some_and(Claim::may_commit) {
                    Ok(())
                } else {
                    Err(Error::NotHeld { task: *task })
                }
            }
            Input::Release { task } if !self.claims.contains_key(task) => {
                Err(Error::NotHeld { task: *task })
            }
            Input::Message { from, message } => self.vet_message(*from, message),
            Input::Restore(_)
            | Input::View(_)
            | Input::Release { .. }
            | Input::Forget(_)
            | Input::Over
            | Input::Quorum(_)
            | Input::Guest(_)
            | Input::Deadline => Ok(()),
        }
    }

    fn vet_claim(&self, task: Task, lease: Duration) -> Result<(), Error> {
        if self.quorum == Quorum::Lost {
            return Err(Error::NoQuorum { task });
        }
        if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
            return Err(Error::Lease { length: lease });
        }
        if self.claims.contains_key(&task) {
            return Err(Error::Claimed { task });
        }
        if self.claims.len() >= CLAIMS_MAX {
            return Err(Error::TooManyClaims { limit: CLAIMS_MAX });
        }
        if self.views.admits(self.me) && self.views.current().is_some() {
            Ok(())
        } else {
            Err(Error::NoMember { life: self.me })
        }
    }

    fn vet_message(&self, from: Life, message: &Message<V>) -> Result<(), Error> {
        if self.views.life(from.peer).is_none() || from.peer == self.me.peer {
            return Err(Error::Stranger { from });
        }
        match message {
            Message::Prepare { ask, lease } => {
                let fits = ask.stamp.fence.epoch == ask.set;
                vet_lease(from, *lease)?;
                vet_ask(from, ask)?;
                if fits { Ok(()) } else { Err(Error::BadAsk { from }) }
            }
            Message::Renew { ask, lease, .. } => {
                vet_lease(from, *lease)?;
                vet_ask(from, ask)
            }
            Message::Accept { ask, value } => {
                vet_ask(from, ask)?;
                vet_size(from, value)?;
                self.vet_result(from, ask, value)
            }
            Message::Release { stamp, .. } if stamp.holder != from => Err(Error::BadAsk { from }),
            Message::Promise { ask, accepted } => {
                self.vet_answer(from, ask)?;
                accepted.as_ref().map_or(Ok(()), |(_, value)| vet_size(from, value))
            }
            Message::Accepted { ask }
            | Message::Renewed { ask, .. }
            | Message::Refuse { ask, .. } => self.vet_answer(from, ask),
            Message::Decided { task, value, .. } => {
                vet_size(from, value)?;
                let other = self.decided(*task).is_some_and(|decided| decided != value);
                if other { Err(Error::OtherDecision { from }) } else { Ok(()) }
            }
            Message::State { state, .. } => vet_state(from, state),
            Message::Known { keys, .. } if keys.len() > KNOWN_MAX => Err(Error::BadAsk { from }),
            Message::Release { .. }
            | Message::Pull { .. }
            | Message::Hint { .. }
            | Message::Installed { .. }
            | Message::WhatIsKnown { .. }
            | Message::Known { .. } => Ok(()),
        }
    }

    /// An answer is about a question of this peer; a late one of its earlier life is ignored later.
    fn vet_answer(&self, from: Life, ask: &Ask) -> Result<(), Error> {
        let mine = ask.stamp.holder.peer == self.me.peer;
        if mine { Ok(()) } else { Err(Error::BadAsk { from }) }
    }

    fn vet_result(&self, from: Life, ask: &Ask, value: &V) -> Result<(), Error> {
        let register = self.registers.get(&ask.task);
        match register.and_then(|register| register.accepted.as_ref()) {
            Some((stamp, accepted)) if *stamp == ask.stamp && accepted != value => {
                Err(Error::OtherResult { from, task: ask.task })
            }
            _ => Ok(()),
        }
    }
}

/// Who may ask for what: the holder itself, under a fence of a view that existed.
fn vet_ask(from: Life, ask: &Ask) -> Result<(), Error> {
    let epoch = ask.stamp.fence.epoch;
    let good = ask.stamp.holder == from && ask.born <= epoch && epoch <= ask.set;
    if good { Ok(()) } else { Err(Error::BadAsk { from }) }
}

fn vet_lease(from: Life, lease: Duration) -> Result<(), Error> {
    let usual = (LEASE_MIN..=LEASE_MAX).contains(&lease);
    if usual { Ok(()) } else { Err(Error::BadAsk { from }) }
}

fn vet_size<V: Value>(from: Life, value: &V) -> Result<(), Error> {
    if value.size() > VALUE_MAX { Err(Error::LargeValue { from }) } else { Ok(()) }
}

fn vet_state<V: Value>(from: Life, state: &Snapshot<V>) -> Result<(), Error> {
    // A rest grows by the drift with every move.
    let long = state.leases.iter().any(|told| told.length > LEASE_MAX || told.rest > LEASE_MAX * 2);
    if long || state.leases.len() > LEASES_MAX {
        return Err(Error::BadAsk { from });
    }
    let mut values = state.accepted.iter().chain(&state.decided);
    values.try_for_each(|(_, value)| vet_size(from, value))
}
