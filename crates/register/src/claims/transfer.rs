//! What moves when a view changes: X1 to X6 (healing.md section 8).

use core::time::Duration;
use std::{
    collections::{BTreeSet, btree_map::Entry},
    sync::Arc,
};

use formic_core::{Epoch, Life, PeerId, Time, View};

use super::{
    Claims, Role, Transfers,
    lease::{Lease, replica_end},
    message::{Message, Record, Snapshot, Stamp, Task, Value},
    replica::{REGISTERS_MAX, Register},
};

/// Unanswered pulls and hints are sent again after this: a round trip of a wide-area link.
const RESEND: Duration = Duration::from_millis(100);

impl<V: Value> Claims<V> {
    /// The current view, unless an earlier life of this process was in a later one.
    pub(super) fn entered(&self) -> Option<Epoch> {
        self.views.epoch().filter(|epoch| *epoch >= self.oath)
    }

    pub(super) fn installed(&self, task: Task) -> Option<Epoch> {
        self.registers.get(&task).and_then(|register| register.installed)
    }

    /// Whether the task has a register here, opening one if there is room.
    pub(super) fn open_register(&mut self, task: Task, born: Epoch) -> bool {
        if self.registers.contains_key(&task) {
            return true;
        }
        if self.registers.len() >= REGISTERS_MAX {
            return false;
        }
        let mut register = Register::new(born);
        // No claim is older: there was nothing to pull for that view.
        let first = self.views.set(born, task.key);
        register.installed = first.filter(|set| set.contains(self.me.peer)).map(|_| born);
        register.installed = register.installed.max(self.fresh_since(task));
        self.registers.insert(task, register);
        self.extend(task);
        true
    }

    /// X2: unchanged replicas move on at once.
    pub(super) fn extend(&mut self, task: Task) {
        let Some(register) = self.registers.get_mut(&task) else { return };
        while let Some(at) = register.installed
            && let Some(next) = self.views.after(at).map(|view| view.epoch)
        {
            let set = |epoch| self.views.set(epoch, task.key);
            let both =
                |peer| [at, next].iter().all(|at| set(*at).is_some_and(|set| set.contains(peer)));
            let continues = !formic_core::rule!("register/pull-continuing") && both(self.me.peer);
            if set(at) != set(next) && !continues {
                return;
            }
            register.installed = Some(next);
        }
    }

    pub(super) fn enter(&mut self, view: Arc<View>) {
        let epoch = view.epoch;
        self.views.push(Arc::clone(&view));
        let keeps = self.views.current().is_some_and(|view| view.member(self.me.peer).is_some());
        if keeps && epoch > self.oath {
            self.oath = epoch;
            self.record(Record::View(epoch));
        }
        if self.transfers == Transfers::Over {
            return;
        }
        self.enter_ground(&view);
        let tasks: Vec<_> = self.registers.keys().copied().collect();
        for task in tasks {
            self.extend(task);
            self.move_register(task, epoch);
        }
        self.answer_all();
        self.arm_transfer();
    }

    /// What a view change asks of one register: pull it, and tell its replicas of it.
    fn move_register(&mut self, task: Task, epoch: Epoch) {
        let Some(set) = self.views.set(epoch, task.key) else { return };
        let before = self.views.before(epoch).map(|view| view.epoch);
        let same = before.and_then(|before| self.views.set(before, task.key)) == Some(set.clone());
        let me = self.me.peer;
        let Some(register) = self.registers.get_mut(&task) else { return };
        register.pulling.clear();
        register.hints.clear();
        if !register.is_used() || epoch < self.oath {
            return self.settle(task);
        }
        if before.is_some() && !same {
            let others = set.peers().iter().filter(|peer| **peer != me);
            register.hints = others.copied().collect();
        }
        let behind = set.contains(me) && register.installed < Some(epoch);
        self.settle(task);
        self.send_hints(task, epoch);
        if behind {
            self.pull(task, epoch);
        }
    }

    /// Whether the register of `task` waits for others.
    pub(super) fn settle(&mut self, task: Task) {
        let open =
            |register: &Register<V>| !register.pulling.is_empty() || !register.hints.is_empty();
        if self.registers.get(&task).is_some_and(open) {
            self.moving.insert(task);
        } else {
            self.moving.remove(&task);
        }
    }

    pub(super) fn arm_transfer(&mut self) {
        if self.moving.is_empty() && !self.ground_waits() {
            self.transfer = None;
        } else if self.transfer.is_none() {
            self.transfer = Some(self.now + RESEND);
        }
    }

    /// X2: every replica of a changed set, continuing ones too, asks a majority of the set before.
    pub(super) fn pull(&mut self, task: Task, epoch: Epoch) {
        if self.transfers == Transfers::Over {
            return;
        }
        let Some(register) = self.registers.get_mut(&task) else { return };
        if let Entry::Vacant(entry) = register.pulling.entry(epoch) {
            entry.insert(BTreeSet::new());
            self.moving.insert(task);
            self.send_pulls(task, epoch);
            self.try_install(task, epoch);
        }
        self.arm_transfer();
    }

    fn send_pulls(&mut self, task: Task, epoch: Epoch) {
        let Some(before) = self.views.before(epoch).map(|view| view.epoch) else { return };
        let sets = [before, epoch].map(|at| self.views.set(at, task.key));
        let Some(register) = self.registers.get(&task) else { return };
        let Some(answered) = register.pulling.get(&epoch) else { return };
        let born = register.born;
        // Those of the same view too: one that has it all is as good as a majority of the view before.
        let peers: BTreeSet<PeerId> =
            sets.iter().flatten().flat_map(super::sets::Set::peers).copied().collect();
        let missing = peers.iter().filter(|peer| !answered.contains(peer));
        for peer in missing.copied().collect::<Vec<_>>() {
            self.send(peer, Message::Pull { task, born, epoch });
        }
    }

    /// Tasks that this replica cannot answer for, each with the peers whose disks it waits for: those of the oldest set that
    /// it pulls from who did not answer.
    pub fn waiting(&self) -> impl Iterator<Item = (Task, BTreeSet<PeerId>)> {
        let waits = |task: &Task| Some((*task, self.waits_for(*task)?));
        self.moving.iter().filter_map(waits)
    }

    /// `None`: it waits for nobody.
    pub(super) fn waits_for(&self, task: Task) -> Option<BTreeSet<PeerId>> {
        let (epoch, answered) = self.registers.get(&task)?.pulling.first_key_value()?;
        let before = self.views.before(*epoch)?.epoch;
        let set = self.views.set(before, task.key)?;
        let missing = set.peers().iter().filter(|peer| !answered.contains(peer));
        Some(missing.copied().filter(|peer| *peer != self.me.peer).collect())
    }

    fn send_hints(&mut self, task: Task, epoch: Epoch) {
        let Some(register) = self.registers.get(&task) else { return };
        let (born, hints) = (register.born, register.hints.clone());
        for peer in hints {
            self.send(peer, Message::Hint { task, born, epoch });
        }
    }

    /// X1, X3: only who is in the later view and had installed the one before answers, or who has installed
    /// the later one.
    pub(super) fn on_pull(&mut self, from: Life, task: Task, born: Epoch, epoch: Epoch) {
        if self.role == Role::Claimant {
            return;
        }
        if self.entered() < Some(epoch) {
            return self.keep_pull(from, task, born, epoch);
        }
        let Some(before) = self.views.before(epoch).map(|view| view.epoch) else { return };
        let me = self.me.peer;
        let keeps = |at| self.views.set(at, task.key).is_some_and(|set| set.contains(me));
        let (kept, keeps) = (keeps(before), keeps(epoch));
        let has_it = self.installed(task).max(self.fresh_since(task)) >= Some(epoch);
        let complete = keeps && has_it;
        if !(kept || complete) {
            return if keeps {
                self.keep_pull(from, task, born, epoch);
            };
        }
        if !self.open_register(task, born) {
            return;
        }
        let installed = self.installed(task);
        if !complete && installed < Some(before) && formic_core::rule!("register/installed") {
            self.keep_pull(from, task, born, epoch);
            return self.pull(task, before);
        }
        let now = self.now;
        let Some(register) = self.registers.get(&task) else { return };
        let running = register.leases.iter().filter(|lease| lease.end > now);
        let leases = running.map(|lease| lease.told(now)).collect();
        let state = Box::new(Snapshot { leases, ..register.snapshot() });
        let installed = if complete { epoch } else { before };
        self.send(from.peer, Message::State { task, epoch, installed, state });
    }

    /// X4. Merged at once: what others accepted may be reported before all of them answered, acted on
    /// it is only when installed.
    pub(super) fn on_state(
        &mut self,
        from: Life,
        (task, epoch): (Task, Epoch),
        installed: Epoch,
        state: Snapshot<V>,
    ) {
        let now = self.now;
        let Some(register) = self.registers.get_mut(&task) else { return };
        let Some(answered) = register.pulling.get_mut(&epoch) else { return };
        answered.insert(from.peer);
        // R1b: a fence that was promised here stays with the life it was promised to.
        let fence = |stamp: Option<Stamp>| stamp.map(|stamp| stamp.fence);
        if fence(state.promised) > fence(register.promised) {
            register.promised = state.promised;
        }
        let newer = |old: &Option<(_, V)>, new: &Option<(_, V)>| {
            new.as_ref().map(|(stamp, _)| *stamp) > old.as_ref().map(|(stamp, _)| *stamp)
        };
        if newer(&register.accepted, &state.accepted) {
            register.accepted = state.accepted;
        }
        register.decided = register.decided.take().or(state.decided);
        let moved = formic_core::rule!("register/lease-moved");
        for told in state.leases.into_iter().filter(|_| moved) {
            let end = replica_end(now, told.rest);
            register.lease(Lease { holder: told.holder, length: told.length, end });
        }
        if installed >= epoch {
            self.install(task, epoch);
        } else {
            self.try_install(task, epoch);
        }
        self.arm_transfer();
    }

    fn try_install(&mut self, task: Task, epoch: Epoch) {
        let Some(before) = self.views.before(epoch).map(|view| view.epoch) else { return };
        let Some(set) = self.views.set(before, task.key) else { return };
        let Some(view) = self.views.get(epoch).cloned() else { return };
        let Some(register) = self.registers.get_mut(&task) else { return };
        let Some(answered) = register.pulling.get(&epoch) else { return };
        let enough = if view.forced.is_some() {
            // The operator gave up those left behind: all others are asked.
            let stays = |peer: &&PeerId| view.member(**peer).is_some();
            set.peers().iter().filter(stays).all(|peer| answered.contains(peer))
        } else if formic_core::rule!("register/pull-majority") {
            set.is_quorum(|peer| answered.contains(&peer))
        } else {
            !answered.is_empty()
        };
        if enough {
            self.install(task, epoch);
        }
    }

    fn install(&mut self, task: Task, epoch: Epoch) {
        let Some(register) = self.registers.get_mut(&task) else { return };
        register.installed = register.installed.max(Some(epoch));
        self.installed_now(task);
    }

    /// A register has all that it waited for: what was merged meanwhile is written down before it is acted on.
    pub(super) fn installed_now(&mut self, task: Task) {
        self.extend(task);
        if let Some(register) = self.registers.get_mut(&task) {
            register.pulling.retain(|at, _| Some(*at) > register.installed);
        }
        self.persist(task);
        self.settle(task);
        self.answer_pulls(task);
    }

    /// Who kept the task before says that this peer does now.
    pub(super) fn on_hint(&mut self, from: Life, task: Task, born: Epoch, epoch: Epoch) {
        let keeps = |set: super::sets::Set| set.contains(self.me.peer);
        let current = self.entered() == Some(epoch);
        if !current
            || !self.views.set(epoch, task.key).is_some_and(keeps)
            || !self.open_register(task, born)
        {
            return;
        }
        if self.installed(task) >= Some(epoch) {
            self.send(from.peer, Message::Installed { task, epoch });
        } else {
            self.pull(task, epoch);
        }
    }

    pub(super) fn on_installed(&mut self, from: Life, task: Task, epoch: Epoch) {
        if self.views.epoch() == Some(epoch)
            && let Some(register) = self.registers.get_mut(&task)
        {
            register.hints.remove(&from.peer);
            self.settle(task);
            self.arm_transfer();
        }
    }

    /// Their jobs are over: what is kept answers late claims where it is, and moves no more.
    pub(super) fn end_transfers(&mut self) {
        self.transfers = Transfers::Over;
        self.early.clear();
        for register in self.registers.values_mut() {
            register.pulling.clear();
            register.hints.clear();
        }
        self.moving.clear();
        if let Some(ground) = &mut self.ground {
            ground.asking.clear();
        }
        self.transfer = None;
    }

    pub(super) fn on_transfer_timer(&mut self) {
        self.transfer = Some(self.now + RESEND);
        self.ask_ground_again();
        let Some(epoch) = self.views.epoch() else { return };
        for task in self.moving.clone() {
            self.send_hints(task, epoch);
            let pulling = self.registers.get(&task).map(|register| register.pulling.clone());
            for (epoch, _) in pulling.unwrap_or_default() {
                self.send_pulls(task, epoch);
            }
        }
        self.arm_transfer();
    }

    /// What the disk says.
    pub(super) fn restore(&mut self, records: Vec<Record<V>>, now: Time) {
        for record in records {
            match record {
                Record::View(epoch) => self.oath = self.oath.max(epoch),
                Record::Ground { epoch, known } => self.restore_ground(epoch, known),
                Record::Forgotten(job) => self.registers.retain(|task, _| task.job != job),
                Record::Register { task, born, installed, state } => {
                    let register = Register::restored(born, installed, *state, now);
                    self.registers.insert(task, register);
                }
            }
        }
    }
}
