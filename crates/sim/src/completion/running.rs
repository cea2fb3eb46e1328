//! Bodies at work: they start, spawn, wait, end.

use core::time::Duration;
use std::collections::BTreeSet;

use formic_completion::{Input, Spawn};
use formic_core::{Descriptor, Key};

use super::{
    bodies::Script,
    world::{Body, Checked, What, World},
};
use crate::Execution;

impl World<'_> {
    pub(super) fn execute(&mut self, peer: usize, key: Key, descriptor: &Descriptor) {
        let life = self.hosts[peer].life;
        let all = self.truth.executions.entry(key).or_default();
        let run = all.len();
        all.push(Execution { life, children: vec![], finished: false });
        self.truth.running.insert((life, key), run);
        let script = Script::of(self.draw, &self.plan.workload, (key, run as u64), descriptor);
        for (index, (at, _, _)) in script.spawns.iter().enumerate() {
            let at = self.now + *at;
            self.at(at, What::Step { life, key, run, index });
        }
        let end = self.now + script.length;
        self.at(end, What::End { life, key, run });
        let body =
            Body { script, run, waits: BTreeSet::new(), told: BTreeSet::new(), ended: false };
        self.hosts[peer].bodies.insert(key, body);
    }

    pub(super) fn spawn(
        &mut self,
        peer: usize,
        (owner, run): (Key, usize),
        index: usize,
    ) -> Checked {
        let Some(body) = self.hosts[peer].bodies.get_mut(&owner) else { return Ok(()) };
        if body.run != run {
            return Ok(());
        }
        let Some((_, descriptor, mode)) = body.script.spawns.get(index).cloned() else {
            return Ok(());
        };
        let number = index as u64;
        let key = Key::child(self.job, owner, number, descriptor.digest());
        if mode == Spawn::Nested {
            body.waits.insert(key);
        }
        let all = self.truth.executions.get_mut(&owner);
        if let Some(execution) = all.and_then(|all| all.get_mut(run)) {
            execution.children.push(key);
        }
        self.feed(peer, Input::Spawn { owner, index: number, descriptor, mode })
    }

    pub(super) fn try_end(&mut self, peer: usize, key: Key) -> Checked {
        let life = self.hosts[peer].life;
        let Some(body) = self.hosts[peer].bodies.get(&key) else { return Ok(()) };
        if !body.ended || body.script.joins && !body.waits.is_subset(&body.told) {
            return Ok(());
        }
        let outcome = body.script.outcome.clone();
        let run = body.run;
        self.hosts[peer].bodies.remove(&key);
        self.truth.running.remove(&(life, key));
        self.truth.last_end = self.now;
        let all = self.truth.executions.get_mut(&key);
        if let Some(execution) = all.and_then(|all| all.get_mut(run)) {
            execution.finished = true;
        }
        self.feed(peer, Input::BodyFinished { key, outcome, slot: Duration::ZERO })
    }
}
