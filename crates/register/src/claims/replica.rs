//! The acceptor: R1, R2, R6, R7 and what it refuses (healing.md section 8).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_core::{Epoch, Life, PeerId, Time};

use super::{
    Claims, Role,
    lease::{Lease, replica_end},
    message::{Ask, Leased, Message, Record, Refusal, Snapshot, Stamp, Task, Value},
};

/// How many registers a replica keeps.
pub const REGISTERS_MAX: usize = 100_000;

/// What this replica knows of one task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Register<V> {
    pub(super) born: Epoch,
    /// The newest view for which everything was pulled, as one of its replicas.
    pub(super) installed: Option<Epoch>,
    pub(super) promised: Option<Stamp>,
    pub(super) accepted: Option<(Stamp, V)>,
    pub(super) decided: Option<(Stamp, V)>,
    /// At most one per life. Ended ones are dropped at the next write.
    pub(super) leases: Vec<Lease>,
    /// Per view that is being installed: who of the one before answered.
    pub(super) pulling: BTreeMap<Epoch, BTreeSet<PeerId>>,
    /// Replicas of the current view that may not know of this task.
    pub(super) hints: BTreeSet<PeerId>,
}

impl<V: Value> Register<V> {
    pub(super) const fn new(born: Epoch) -> Self {
        Self {
            born,
            installed: None,
            promised: None,
            accepted: None,
            decided: None,
            leases: vec![],
            pulling: BTreeMap::new(),
            hints: BTreeSet::new(),
        }
    }

    /// From disk. Leases run in full from here: nobody knows how long this process was away.
    pub(super) fn restored(
        born: Epoch,
        installed: Option<Epoch>,
        state: Snapshot<V>,
        now: Time,
    ) -> Self {
        let leased = |told: Leased| {
            let length = told.length;
            Lease { holder: told.holder, length, end: replica_end(now, length) }
        };
        let restored = formic_core::rule!("register/lease-restored");
        let leases = state.leases.into_iter().filter(|_| restored).map(leased).collect();
        let Snapshot { promised, accepted, decided, .. } = state;
        Self { installed, promised, accepted, decided, leases, ..Self::new(born) }
    }

    pub(super) fn snapshot(&self) -> Snapshot<V> {
        Snapshot {
            promised: self.promised,
            accepted: self.accepted.clone(),
            decided: self.decided.clone(),
            leases: self.leases.iter().map(Lease::stored).collect(),
        }
    }

    /// Whether anybody ever asked for this task here.
    pub(super) const fn is_used(&self) -> bool {
        self.promised.is_some() || self.accepted.is_some() || self.decided.is_some()
    }

    /// A lease that begins or goes on; whether the disk does not know of it yet.
    pub(super) fn lease(&mut self, lease: Lease) -> bool {
        let known = self.leases.iter_mut().find(|known| known.holder == lease.holder);
        let Some(known) = known else {
            self.leases.push(lease);
            return true;
        };
        let longer = lease.length > known.length;
        known.end = known.end.max(lease.end);
        known.length = known.length.max(lease.length);
        longer
    }

    /// R1b: a fence goes to one claimant; identities never break the tie.
    fn is_above(&self, stamp: Stamp) -> bool {
        self.promised.is_none_or(|promised| {
            if formic_core::rule!("register/tie") {
                stamp == promised || stamp.fence > promised.fence
            } else {
                stamp >= promised
            }
        })
    }
}

impl<V: Value> Claims<V> {
    /// Writes down what is known of `task`. Before any answer that follows from it.
    pub(super) fn persist(&mut self, task: Task) {
        let now = self.now;
        let Some(register) = self.registers.get_mut(&task) else { return };
        register.leases.retain(|lease| lease.end > now);
        let (born, installed) = (register.born, register.installed);
        let state = Box::new(register.snapshot());
        self.record(Record::Register { task, born, installed, state });
    }

    /// What keeps this replica from acting on a question: the answer to it instead.
    fn gate(&mut self, from: Life, ask: &Ask) -> Option<Message<V>> {
        let ask = *ask;
        let decided = self.registers.get(&ask.task).and_then(|register| register.decided.clone());
        if let Some((stamp, value)) = decided {
            return Some(Message::Decided { task: ask.task, born: ask.born, stamp, value });
        }
        let refuse = |why| Some(Message::Refuse { ask, why });
        let entered = self.entered().filter(|_| self.role == Role::Keeper);
        let Some(epoch) = entered else { return refuse(Refusal::NotInstalled) };
        if ask.set > epoch {
            return refuse(Refusal::NotInstalled);
        }
        // X1: who knows the next view answers nothing for the replicas of this one.
        if ask.set < epoch && formic_core::rule!("register/wedge") {
            return refuse(Refusal::Moved { epoch });
        }
        if !self.views.admits(from) {
            return refuse(Refusal::NotMember);
        }
        match self.views.set(ask.set, ask.task.key) {
            None => return refuse(Refusal::NotInstalled),
            Some(set) if !set.contains(self.me.peer) => return refuse(Refusal::NotReplica),
            Some(_) => {}
        }
        if !self.open_register(ask.task, ask.born) {
            return refuse(Refusal::Full);
        }
        if self.installed(ask.task) < Some(ask.set) {
            self.pull(ask.task, ask.set);
        }
        if self.installed(ask.task) < Some(ask.set) {
            return refuse(Refusal::NotInstalled);
        }
        None
    }

    /// R1.
    pub(super) fn on_prepare(&mut self, from: Life, ask: Ask, length: Duration) {
        if let Some(answer) = self.gate(from, &ask) {
            return self.send(from.peer, answer);
        }
        let now = self.now;
        let Some(register) = self.registers.get_mut(&ask.task) else { return };
        let others = register.leases.iter().filter(|lease| lease.holder != from);
        let remaining = others.map(|lease| lease.end.since(now)).max().unwrap_or_default();
        if remaining > Duration::ZERO && formic_core::rule!("register/lease") {
            let why = Refusal::Held { remaining };
            return self.send(from.peer, Message::Refuse { ask, why });
        }
        if let Some(promised) = register.promised.filter(|_| !register.is_above(ask.stamp))
            && formic_core::rule!("register/fence")
        {
            let why = Refusal::Lower { promised: promised.fence };
            return self.send(from.peer, Message::Refuse { ask, why });
        }
        let lease = Lease { holder: from, length, end: replica_end(now, length) };
        let unknown = register.lease(lease);
        let first = register.promised != Some(ask.stamp);
        register.promised = Some(ask.stamp);
        let accepted = register.accepted.clone();
        if unknown || first {
            self.persist(ask.task);
        }
        self.send(from.peer, Message::Promise { ask, accepted });
    }

    /// R2.
    pub(super) fn on_accept(&mut self, from: Life, ask: Ask, value: V) {
        if let Some(answer) = self.gate(from, &ask) {
            return self.send(from.peer, answer);
        }
        let Some(register) = self.registers.get_mut(&ask.task) else { return };
        if let Some(promised) = register.promised.filter(|_| !register.is_above(ask.stamp))
            && formic_core::rule!("register/fence")
        {
            let why = Refusal::Lower { promised: promised.fence };
            return self.send(from.peer, Message::Refuse { ask, why });
        }
        if register.accepted.as_ref().map(|(stamp, _)| *stamp) != Some(ask.stamp) {
            register.promised = Some(ask.stamp);
            register.accepted = Some((ask.stamp, value));
            self.persist(ask.task);
        }
        self.send(from.peer, Message::Accepted { ask });
    }

    /// R6.
    pub(super) fn on_renew(&mut self, from: Life, ask: Ask, length: Duration, serial: u64) {
        if let Some(answer) = self.gate(from, &ask) {
            return self.send(from.peer, answer);
        }
        let now = self.now;
        let Some(register) = self.registers.get_mut(&ask.task) else { return };
        if let Some(promised) = register.promised.filter(|promised| *promised != ask.stamp) {
            let why = Refusal::Lower { promised: promised.fence };
            return self.send(from.peer, Message::Refuse { ask, why });
        }
        let lease = Lease { holder: from, length, end: replica_end(now, length) };
        if register.lease(lease) {
            self.persist(ask.task);
        }
        self.send(from.peer, Message::Renewed { ask, serial });
    }

    pub(super) fn on_release(&mut self, task: Task, stamp: Stamp) {
        // A later try of the same life is not what is released.
        if let Some(register) = self.registers.get_mut(&task)
            && register.promised == Some(stamp)
        {
            register.leases.retain(|lease| lease.holder != stamp.holder);
        }
    }

    /// A decision is kept by whoever keeps the task or asked for it.
    pub(super) fn learn(&mut self, task: Task, born: Epoch, stamp: Stamp, value: &V) {
        let keeps = |set: super::sets::Set| set.contains(self.me.peer);
        let mine = self.views.epoch().and_then(|epoch| self.views.set(epoch, task.key));
        if !self.registers.contains_key(&task) && !mine.is_some_and(keeps)
            || !self.open_register(task, born)
        {
            return;
        }
        if let Some(register) = self.registers.get_mut(&task)
            && register.decided.is_none()
        {
            register.decided = Some((stamp, value.clone()));
            register.leases.clear();
            self.persist(task);
        }
    }
}
