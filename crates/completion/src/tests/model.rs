//! Model checks of the shipped machine: three peers, a small tree, and every order of deliveries,
//! losses, duplicates, timers, detector reports and a few faults.
//!
//! The network is a set that only grows, so that loss, duplication and reordering are part of every run.
//! A machine's timers may fire in any order at any time, a superset of what clocks allow; states that
//! differ only in time are one. Not explored: the register's own repeats (it has a model of its own) and
//! questions for a verdict (the settling continuation has both), placements that take time, and a respawn of an executor that
//! was never met.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, Model, Property};

use super::{peer::*, *};
use crate::timers::Timer;

mod settle;
mod step;
mod trees;
mod world;

use settle::{InFlight, settles};
use step::{Local, Step};
use trees::Tree;
use world::{Action, Faults, PEERS, Views, World};

/// A child that was given up so often is not followed further: a stale `unknown` could repeat it for ever.
const ATTEMPTS: u16 = 3;

/// I2, I5, I6, I7, and that honest peers refuse nothing.
const SAFE: &str = "never early, quiet, one result";
/// All that was on its way when the faults ended is lost.
const SETTLES_LOST: &str = "settles, in flight lost";
/// All of it arrives, again if it had arrived before.
const SETTLES_DELIVERED: &str = "settles, in flight delivered";
const COMPLETES: &str = "all live peers know the verdict";

struct Job {
    tree: Tree,
    home: usize,
    faults: Faults,
    views: Views,
    #[expect(
        clippy::disallowed_types,
        reason = "the checker shares the model between its threads"
    )]
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
        vec![World::new(&self.tree, self.home, (self.faults, self.views))]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken.is_some() {
            return;
        }
        let sent = world.network.iter();
        actions.extend(sent.map(|(key, envelope)| Action::Deliver(*key, Arc::clone(envelope))));
        for (peer, host) in world.live() {
            actions.extend(host.bodies.iter().map(|key| Action::End(peer, *key)));
            let timers = host.machine.timers.armed().filter(|timer| *timer != Timer::Ask);
            actions.extend(timers.map(|timer| Action::Fire(peer, timer)));
            if world.left.crashes > 0 {
                actions.push(Action::Crash(peer));
            }
        }
        let untold = world.untold().into_iter();
        actions.extend(untold.map(|(observer, lives)| Action::View(observer, lives)));
        let told = world.corrections().into_iter();
        actions.extend(told.map(|(observer, life, up)| Action::Tell(observer, life, up)));
        for peer in (0..PEERS).filter(|_| world.left.restarts > 0) {
            let host = &world.hosts[peer];
            if !host.alive {
                actions.push(Action::Restart(peer, vec![]));
                let kept = (!host.disk.is_empty()).then(|| host.disk.clone());
                actions.extend(kept.map(|disk| Action::Restart(peer, disk)));
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
            Action::Tell(observer, life, up) => (observer, before.news((life, up))),
            Action::Suspect(observer, life) => {
                world.left.suspicions -= 1;
                (observer, before.news((life, false)))
            }
            Action::View(observer, lives) => (observer, Local::View(lives)),
            Action::Crash(peer) => {
                world.left.crashes -= 1;
                world.crash(peer);
                return Some(world);
            }
            Action::Restart(peer, records) => {
                world.left.restarts -= 1;
                world.restart(&self.tree, peer, records);
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
            Property::always(SAFE, |_, world: &World| world.broken.is_none()),
            Property::always(SETTLES_LOST, |job: &Self, world| {
                settles(&job.tree, world, InFlight::Lost)
            }),
            Property::always(SETTLES_DELIVERED, |job: &Self, world| {
                settles(&job.tree, world, InFlight::Delivered)
            }),
            Property::sometimes(COMPLETES, |_, world: &World| {
                world.live().all(|(_, host)| host.machine.is_closed())
            }),
        ]
    }
}

/// How far a model goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// To the end, where this many unique states were found.
    All(usize),
    /// To this many visits of states.
    Visits(usize),
}

/// Explores one model, breadth first; prints its row of the table.
fn explore(tree: usize, home: usize, faults: Faults, bound: Bound) {
    explore_with(tree, (home, Views::Untold), faults, bound);
}

#[expect(clippy::disallowed_types, reason = "how long it takes is part of the row")]
fn explore_with(tree: usize, (home, views): (usize, Views), faults: Faults, bound: Bound) {
    let start = std::time::Instant::now();
    let job = Job { tree: Tree::new(tree), home, faults, views, steps: Default::default() };
    let mut checker = job.checker().finish_when(stateright::HasDiscoveries::AnyFailures);
    if let Bound::Visits(visits) = bound {
        checker = checker.target_state_count(visits);
    }
    let checker = checker.spawn_bfs().join();
    let Faults { crashes, restarts, suspicions } = faults;
    println!(
        "| t{tree} | {home} {views:?} | {crashes} | {restarts} | {suspicions} | {} | {} | {:.1} s | {bound:?} |",
        checker.unique_state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64(),
    );
    for name in [SAFE, SETTLES_LOST, SETTLES_DELIVERED] {
        checker.assert_no_discovery(name);
    }
    let Bound::All(unique) = bound else { return };
    // A bounded search may end before the first verdict; the settling continuation reaches it.
    checker.assert_any_discovery(COMPLETES);
    // A mutant has other states; that alone is not to betray it.
    if !cfg!(formic_ablate) {
        assert_eq!(checker.unique_state_count(), unique, "the machine has other states now");
    }
}

const fn faults(crashes: u8, restarts: u8, suspicions: u8) -> Faults {
    Faults { crashes, restarts, suspicions }
}

/// Loss, duplication and reordering are part of every model.
#[test]
fn trees_complete_on_lossy_links() {
    for (tree, unique) in [(1, 8_966), (2, 20_462), (3, 3_747), (4, 17_429)] {
        explore(tree, 1, faults(0, 0, 0), Bound::All(unique));
    }
}

#[test]
fn a_crash_loses_nothing() {
    explore(1, 1, faults(1, 0, 0), Bound::All(49_835));
    explore(3, 1, faults(1, 0, 0), Bound::All(23_481));
}

#[test]
fn a_crash_with_restart_loses_nothing() {
    explore(3, 1, faults(1, 1, 0), Bound::Visits(150_000));
}

#[test]
fn a_false_suspicion_costs_duplicates_only() {
    explore(3, 1, faults(0, 0, 1), Bound::Visits(150_000));
}

#[test]
fn the_second_of_two_home_lives_changes_nothing() {
    explore(3, 2, faults(1, 0, 0), Bound::Visits(60_000));
}

#[test]
#[ignore = "minutes: cargo test -p formic-completion --lib model -- --ignored --nocapture --test-threads 1"]
fn deeper() {
    explore(5, 1, faults(0, 0, 0), Bound::All(78_216));
    explore(2, 1, faults(1, 0, 0), Bound::All(168_732));
    explore(4, 1, faults(1, 0, 0), Bound::Visits(3_000_000));
    explore(5, 1, faults(1, 0, 0), Bound::Visits(1_000_000));
    explore(1, 1, faults(1, 0, 1), Bound::Visits(1_000_000));
    explore(3, 1, faults(1, 0, 1), Bound::Visits(1_000_000));
    explore(1, 1, faults(2, 0, 0), Bound::Visits(1_000_000));
    explore(2, 1, faults(0, 0, 1), Bound::Visits(1_000_000));
}

#[test]
#[ignore = "a quarter of an hour, as above"]
fn deeper_with_restarts() {
    for tree in 1..=5 {
        explore(tree, 1, faults(1, 1, 0), Bound::Visits(1_000_000));
    }
    for tree in 1..=4 {
        explore(tree, 2, faults(1, 1, 0), Bound::Visits(400_000));
    }
}

/// The home group grows from one life to three as views are told, in any order with everything else.
#[test]
fn a_home_group_that_grows_loses_nothing() {
    explore_with(3, (1, Views::Told), faults(0, 0, 0), Bound::Visits(150_000));
    explore_with(3, (1, Views::Told), faults(1, 0, 0), Bound::Visits(150_000));
}

/// A home group of three that loses one goes on as two.
#[test]
fn a_home_group_that_shrinks_loses_nothing() {
    explore_with(3, (3, Views::Told), faults(1, 0, 0), Bound::Visits(150_000));
}
