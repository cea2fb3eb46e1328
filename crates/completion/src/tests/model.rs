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
mod trees;
mod world;

use settle::{InFlight, settles};
use trees::Tree;
use world::{Action, Faults, PEERS, World};

/// A child that was given up so often is not followed further: a stale `unknown` could repeat it for ever.
const ATTEMPTS: u16 = 3;

struct Job {
    tree: Tree,
    home: usize,
    faults: Faults,
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
        actions.extend(world.network.values().map(|sent| Action::Deliver(Arc::clone(sent))));
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
        let tree = &self.tree;
        match action {
            Action::Deliver(envelope) => {
                world.feed(tree, world::index(envelope.to), envelope.input());
            }
            Action::End(peer, key) => world.end(tree, peer, key),
            Action::Fire(peer, timer) => world.fire(tree, peer, timer),
            Action::Tell(observer, life, up) => world.tell(tree, observer, (life, up)),
            Action::Crash(peer) => {
                world.left.crashes -= 1;
                world.crash(peer);
            }
            Action::Restart(peer, disk) => {
                world.left.restarts -= 1;
                world.restart(tree, peer, disk);
            }
            Action::Suspect(observer, life) => {
                world.left.suspicions -= 1;
                world.tell(tree, observer, (life, false));
            }
        }
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
    let job = Job { tree: Tree::new(tree), home, faults };
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
    for faults in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1)] {
        for home in [1, 2] {
            for tree in 1..=5 {
                let start = std::time::Instant::now();
                let (crashes, restarts, suspicions) = faults;
                explore(tree, home, Faults { crashes, restarts, suspicions }, Some(400_000));
                println!("   {:?}", start.elapsed());
            }
        }
    }
}
