//! Model checks of the shipped machine: three peers, a small tree, and every order of deliveries,
//! losses, duplicates, timers, detector reports and a few faults.
//!
//! The network is a set that only grows, so that loss, duplication and reordering are part of every run.
//! A machine's timers may fire in any order at any time, a superset of what clocks allow; states that
//! differ only in time are one. Not explored: the register's own repeats (it has a model of its own, and
//! the settling continuation fires them), placements that take time, and a respawn of an executor that
//! was never met.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, Model, Property};

use super::{peer::*, *};

mod settle;
mod step;
mod trees;
mod world;

use settle::{InFlight, settles};
use step::{Local, Step};
use trees::Tree;
use world::{Action, Faults, PEERS, World};

/// A child that was given up so often is not followed further: a stale `unknown` could repeat it for ever.
const ATTEMPTS: u16 = 3;

struct Job {
    tree: Tree,
    home: usize,
    faults: Faults,
    #[expect(clippy::disallowed_types, reason = "the checker shares the model between its threads")]
    steps: std::sync::Mutex<BTreeMap<(u64, u64), Arc<Step>>>,
}

impl Job {
    /// One peer's step, computed once for all worlds in which it is in that state.
    fn step(&self, world: &World, peer: usize, what: &Local) -> Arc<Step> {
        let key = (world.prints[peer], what.print());
        if let Some(step) = self.steps.lock().unwrap().get(&key) {
            return Arc::clone(step);
        }
        let step = Arc::new(Step::rest(&self.tree, &world.hosts[peer], what));
        self.steps.lock().unwrap().insert(key, Arc::clone(&step));
        step
    }
}

impl Model for Job {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.tree, self.home, self.faults)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken.is_some() {
            return;
        }
        let sent = world.network.iter();
        actions.extend(sent.map(|(key, envelope)| Action::Deliver(*key, Arc::clone(envelope))));
        for (peer, host) in world.live() {
            actions.extend(host.bodies.iter().map(|key| Action::End(peer, *key)));
            actions.extend(host.machine.timers.armed().map(|timer| Action::Fire(peer, timer)));
            if world.left.crashes > 0 {
                actions.push(Action::Crash(peer));
            }
        }
        let told = world.corrections().into_iter();
        actions.extend(told.map(|(observer, life, up)| Action::Tell(observer, life, up)));
        for peer in (0..PEERS).filter(|_| world.left.restarts > 0) {
            let host = &world.hosts[peer];
            if !host.alive {
                actions.push(Action::Restart(peer, false));
                actions.extend((!host.disk.is_empty()).then_some(Action::Restart(peer, true)));
            }
        }
        for (observer, other) in world::pairs().filter(|_| world.left.suspicions > 0) {
            let target = &world.hosts[other];
            let believed = world.hosts[observer].told.get(&target.life) == Some(&true);
            if world.hosts[observer].alive && target.alive && believed {
                actions.push(Action::Suspect(observer, target.life));
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        let (peer, what) = match action {
            Action::Deliver(key, envelope) => {
                (world::index(envelope.to), Local::Deliver(key, envelope))
            }
            Action::End(peer, key) => (peer, Local::End(key)),
            Action::Fire(peer, timer) => (peer, Local::Fire(timer)),
            Action::Tell(observer, life, up) => (observer, before.news(life, up)),
            Action::Suspect(observer, life) => {
                world.left.suspicions -= 1;
                (observer, before.news(life, false))
            }
            Action::Crash(peer) => {
                world.left.crashes -= 1;
                world.crash(peer);
                return Some(world);
            }
            Action::Restart(peer, disk) => {
                world.left.restarts -= 1;
                world.restart(&self.tree, peer, disk);
                return Some(world);
            }
        };
        let step = self.step(before, peer, &what);
        world.commit(&self.tree, peer, (&what, &step));
        (world != *before).then_some(world)
    }

    fn within_boundary(&self, world: &World) -> bool {
        let mut tasks = world.hosts.iter().flat_map(|host| host.machine.tasks.values());
        tasks.all(|task| task.children.values().all(|child| child.attempt <= ATTEMPTS))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never early, quiet, one result, no panic", |_, world: &World| {
                world.broken.is_none()
            }),
            Property::always("settles, in flight lost", |job: &Self, world| {
                settles(&job.tree, job.home, world, InFlight::Lost)
            }),
            Property::always("settles, in flight delivered", |job: &Self, world| {
                settles(&job.tree, job.home, world, InFlight::Delivered)
            }),
            Property::sometimes("complete at all live peers", |_, world: &World| {
                world.live().all(|(_, host)| host.machine.is_closed())
            }),
        ]
    }
}

/// Explores all states, or as many as `most`; prints a row of the table.
fn explore(tree: usize, home: usize, faults: Faults, most: Option<usize>) -> usize {
    let job = Job { tree: Tree::new(tree), home, faults, steps: Default::default() };
    let mut checker = job.checker();
    if let Some(most) = most {
        checker = checker.target_state_count(most);
    }
    let checker = checker.spawn_bfs().join();
    let unique = checker.unique_state_count();
    println!("t{tree}, home {home}, {faults:?}: {unique} unique, depth {}, capped {most:?}", checker.max_depth());
    for (name, path) in checker.discoveries() {
        let property = checker.discovery_classification(name);
        println!("{name}: {property}");
        if name != "complete at all live peers" {
            for action in path.into_actions() {
                println!("  {action:?}");
            }
        }
    }
    checker.assert_properties();
    unique
}

#[test]
#[ignore = "survey"]
fn survey() {
    let words = std::fs::read_to_string("/tmp/wt/at").ok();
    let words = words.unwrap_or_default();
    for word in words.trim().split(';') {
        let n: Vec<usize> = word.split(',').map(|n| n.parse().unwrap()).collect();
        let start = std::time::Instant::now();
        let faults = Faults { crashes: n[2] as u8, restarts: n[3] as u8, suspicions: n[4] as u8 };
        explore(n[0], n[1], faults, Some(n[5]));
        println!("   {:?}", start.elapsed());
    }
}
