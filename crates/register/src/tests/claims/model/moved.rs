//! Another view while a commit is under way: of the replicas 0, 1 and 3 the last one is replaced by 4.
//! Peer 2 claims in the first view and keeps nothing itself. Leases are
//! over at once for those that gave them: two results are ruled out without them.

use super::{
    super::{
        super::model::space::{First, explore},
        *,
    },
    world::{Clock, Goal, Local, World},
};

/// Of these members the first three by weight keep the task: never peer 2 (`who_keeps_the_task`).
fn views() -> Vec<Arc<View>> {
    let lives = |peers: [usize; 4]| peers.map(|at| life(at, 1));
    vec![view(1, &lives([0, 1, 2, 3])), view(2, &lives([0, 1, 2, 4]))]
}

/// The claim of peer 2 was granted by all and its commit is under way. Peer 4 knows both views: what it
/// hears may take as long as it likes. Peer `second` claims once it knows the second view.
fn world(second: usize) -> World {
    let told = [0, 1, 2, 3, 4].map(|at| First::Local(at, Local::View));
    let claim = [First::Local(2, Local::Claim)];
    let promises = [0, 1, 3, 2].map(First::Deliver);
    let commit = [First::Local(2, Local::Commit)];
    World {
        peers: 5,
        views: views(),
        claimants: vec![(2, 1, 1), (second, 1, 2)],
        clock: Clock::None,
        attempt: 1,
        renewals: 0,
        first: told.into_iter().chain(claim).chain(promises).chain(commit).collect(),
        goal: Goal::Commits,
    }
}

/// As [`world`], and the one that is replaced has voted: all replicas know the second view.
fn voted() -> World {
    let mut world = world(1);
    world.first.push(First::Deliver(3));
    world.first.extend([0, 1, 3].map(|at| First::Local(at, Local::View)));
    world.first.push(First::Local(1, Local::Claim));
    world
}

#[test]
fn who_keeps_the_task() {
    for (view, kept) in views().into_iter().zip([[0, 1, 3], [0, 1, 4]]) {
        let mut machine: Claims<u32> = Claims::new(life(0, 1));
        machine.handle(Time::ZERO, Input::View(view), &mut Vec::new()).unwrap();
        assert_eq!(machine.replicas(task(0)), kept.map(|at| life(at, 1).peer));
    }
}

#[test]
fn one_result() {
    explore("a replica that voted is replaced", voted(), 0, 431_574);
}

#[test]
#[ignore = "minutes: cargo test -p formic-register --lib model -- --ignored --nocapture"]
fn deeper() {
    explore("a replica is replaced", world(1), 0, 3_679_622);
}
