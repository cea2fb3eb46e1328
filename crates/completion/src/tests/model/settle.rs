//! The fair continuation: no more faults, a detector that is right, all is delivered, time passes.

use std::collections::VecDeque;

use super::{
    step::{Local, Step},
    trees::Tree,
    world::{Envelope, Host, World, index},
    *,
};

const STEPS: usize = 10_000;

/// What becomes of the messages that were on their way when the faults ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InFlight {
    Lost,
    Delivered,
}

/// Whether some life is left that can end the job: a quorum that keeps it, or one that knows the verdict.
fn can_end(world: &World) -> bool {
    let knows = |host: &Host| host.alive && host.machine.is_closed();
    if world.verdict.is_some() {
        return world.hosts.iter().any(|host| knows(host) && host.keeps_home());
    }
    let (_, home) = world.newest_home();
    let keeps = |(_, life): &(usize, &Life)| {
        let host = &world.hosts[index(**life)];
        host.alive && host.keeps_home()
    };
    let ranks = home.iter().enumerate().filter(keeps).map(|(rank, _)| rank);
    formic_register::is_quorum(&ranks.collect(), home.len(), 0)
}

/// Whether all live peers learn the verdict and fall silent.
pub(super) fn settles(tree: &Tree, from: &World, in_flight: InFlight) -> bool {
    if !can_end(from) {
        return true;
    }
    let mut world = from.clone();
    let mut now = Time::ZERO;
    let mut queue: VecDeque<Arc<Envelope>> = match in_flight {
        InFlight::Delivered => world.network.values().cloned().collect(),
        InFlight::Lost => VecDeque::new(),
    };
    world.network = Arc::default();
    for _ in 0..STEPS {
        let (peer, what) = if let Some(envelope) = queue.pop_front() {
            if !world.is_live(envelope.to) {
                continue;
            }
            (index(envelope.to), Local::Deliver(0, envelope))
        } else if let Some((observer, life, up)) = world.corrections().first().copied() {
            (observer, world.news((life, up)))
        } else if let Some((peer, lives)) = world.untold().first().cloned() {
            (peer, Local::View(lives))
        } else if let Some((peer, key)) = first_body(&world) {
            (peer, Local::End(key))
        } else if let Some((peer, at)) = next_deadline(&world) {
            now = now.max(at);
            (peer, Local::Plain(Input::Deadline))
        } else {
            break;
        };
        let step = Step::at(tree, &world.hosts[peer], (now, &what));
        world.commit(tree, peer, (&what, &step));
        queue.extend(core::mem::take(&mut world.network).values().cloned());
    }
    world.broken.is_none()
        && next_deadline(&world).is_none()
        && world.live().all(|(_, host)| host.machine.is_closed() && host.bodies.is_empty())
}

fn first_body(world: &World) -> Option<(usize, Key)> {
    world.live().find_map(|(peer, host)| host.bodies.first().map(|key| (peer, *key)))
}

fn next_deadline(world: &World) -> Option<(usize, Time)> {
    let all = world.live().filter_map(|(peer, host)| Some((peer, host.machine.deadline()?)));
    all.min_by_key(|(_, at)| *at)
}
