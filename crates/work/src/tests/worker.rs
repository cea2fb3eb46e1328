use core::time::Duration;

use formic_core::{Kind, Protocol as _, Time};

use super::{capability, config, descriptor, feed, life, message, probe, queue, task, work};
use crate::{Config, Effect, Input, Message, Place, Reason};

fn started(out: &[Effect]) -> Vec<crate::TaskId> {
    let task = |effect: &Effect| match effect {
        Effect::Start { task, .. } => Some(*task),
        _ => None,
    };
    out.iter().filter_map(task).collect()
}

#[test]
fn a_waiting_parent_gives_its_slot_back_and_comes_back_first() {
    let mut worker = work(1, config(1));
    assert_eq!(started(&feed(&mut worker, 0, queue(1))), [task(1)]);
    assert_eq!(started(&feed(&mut worker, 0, queue(2))), []);
    feed(&mut worker, 0, queue(3));
    assert_eq!(started(&feed(&mut worker, 0, Input::Waits { task: task(1) })), [task(2)]);
    assert_eq!(feed(&mut worker, 0, Input::Runs { task: task(1) }), [], "the slot is taken");
    let out = feed(&mut worker, 0, Input::Ended { task: task(2) });
    assert_eq!(out, [Effect::Resume { task: task(1) }], "ahead of what is queued");
    assert_eq!(started(&feed(&mut worker, 0, Input::Ended { task: task(1) })), [task(3)]);
}

#[test]
fn what_was_lost_once_goes_ahead_of_what_is_new() {
    let mut worker = work(1, config(1));
    (1..4).for_each(|n| drop(feed(&mut worker, 0, queue(n))));
    for n in [7, 8] {
        let Input::Queue { task, descriptor, owner, place, .. } = queue(n) else { unreachable!() };
        feed(&mut worker, 0, Input::Queue { task, attempt: 2, descriptor, owner, place });
    }
    let order: Vec<_> = [1, 7, 8, 2, 3]
        .iter()
        .flat_map(|&n| started(&feed(&mut worker, 0, Input::Ended { task: task(n) })))
        .collect();
    assert_eq!(order, [task(7), task(8), task(2), task(3)]);
}

#[test]
fn a_chain_of_parents_needs_one_slot() {
    let mut worker = work(1, config(1));
    for n in 0..100 {
        assert_eq!(started(&feed(&mut worker, 0, queue(n))), [task(n)]);
        feed(&mut worker, 0, Input::Waits { task: task(n) });
    }
    assert!(!worker.is_running());
    for n in (0..100).rev() {
        let resumed = feed(&mut worker, 0, Input::Runs { task: task(n) });
        assert_eq!(resumed, [Effect::Resume { task: task(n) }]);
        feed(&mut worker, 0, Input::Ended { task: task(n) });
    }
}

#[test]
fn the_root_runs_without_a_slot() {
    let mut worker = work(1, config(0));
    let (task, owner, place) = (task(1), life(1), Place::Outside);
    let root = Input::Queue { task, attempt: 1, descriptor: descriptor(&[]), owner, place };
    assert_eq!(started(&feed(&mut worker, 0, root)), [task]);
    assert!(worker.is_running());
    feed(&mut worker, 0, Input::Waits { task });
    assert!(!worker.is_running());
    assert_eq!(feed(&mut worker, 0, Input::Runs { task }), [Effect::Resume { task }]);
}

#[test]
fn a_full_queue_gives_back_and_reports_room_later() {
    let mut worker = work(1, Config { queue_per_slot: 2, ..config(1) });
    let fits: Vec<_> = (0..9).map(|n| feed(&mut worker, 0, queue(n))).collect();
    assert_eq!(started(&fits.concat()), [task(0)]);
    assert_eq!(fits.concat().len(), 1, "1 runs, 8 wait: four times the promised 2");
    let returned = Message::Returned { tasks: vec![(task(9), 1)], reason: Reason::Full };
    let out = feed(&mut worker, 0, queue(9));
    assert_eq!(out, [Effect::Send { to: life(9), message: returned }]);
    let out = feed(&mut worker, 0, message(5, Message::Interest { tasks: 9 }));
    assert_eq!(out, []);
    let mut room = Vec::new();
    for n in 0..8 {
        room.extend(feed(&mut worker, 0, Input::Ended { task: task(n) }));
    }
    let reports: Vec<_> =
        room.iter().filter(|effect| matches!(effect, Effect::Send { .. })).collect();
    let message = Message::Room { room: 1 };
    assert_eq!(reports, [&Effect::Send { to: life(5), message }], "once, when half is free");
    let out = feed(&mut worker, 0, Input::Ended { task: task(8) });
    assert_eq!(started(&out), [task(9)], "nobody took it back: it runs here after all");
}

#[test]
fn a_draining_peer_gives_back_what_is_queued() {
    let mut worker = work(1, config(1));
    (0..4).for_each(|n| drop(feed(&mut worker, 0, queue(n))));
    let mut tasks = vec![(task(1), 1), (task(2), 1), (task(3), 1)];
    tasks.sort_unstable();
    let message = Message::Returned { tasks, reason: Reason::Draining };
    assert_eq!(feed(&mut worker, 0, Input::Drain), [Effect::Send { to: life(9), message }]);
    assert_eq!(feed(&mut worker, 0, Input::Ended { task: task(0) }), [], "nothing starts");
    assert!(!worker.is_running());
}

#[test]
fn a_withdrawn_capability_gives_back_what_needs_it() {
    let hash = vec![capability("hash")];
    let mut worker = work(1, Config { capabilities: hash.clone(), ..config(1) });
    feed(&mut worker, 0, queue(0));
    let (task, owner, place) = (task(1), life(9), Place::Slot);
    let needy = Input::Queue { task, attempt: 3, descriptor: descriptor(&hash), owner, place };
    feed(&mut worker, 0, needy);
    let out = feed(&mut worker, 0, Input::SetCapabilities { capabilities: vec![] });
    let message = Message::Returned { tasks: vec![(task, 3)], reason: Reason::Incapable };
    assert_eq!(out, [Effect::Send { to: life(9), message }]);
    let out = feed(&mut worker, 0, super::message(2, probe(4, 1, 1, &hash)));
    let refuses = |effect: &Effect| {
        matches!(effect, Effect::Send { message: Message::Promise { offer: None, .. }, .. })
    };
    assert!(matches!(&out[..], [effect] if refuses(effect)), "{out:?}");
}

#[test]
fn a_probe_is_answered_from_what_runs_and_waits() {
    let mut worker = work(1, config(1));
    (0..3).for_each(|n| drop(feed(&mut worker, 0, queue(n))));
    let out = feed(&mut worker, 7, message(2, probe(4, 1, 1, &[])));
    let Some(Effect::Estimate { to, backlog, load, room, .. }) = out.first() else {
        panic!("{out:?}")
    };
    let kind = Kind::of("test");
    assert_eq!((*to, *room, load.running, load.queued), (life(2), 6, 1, 2));
    assert_eq!(backlog.queued, [(kind, 2)]);
    assert_eq!(backlog.running, [(kind, Duration::from_millis(7))]);
}

/// L4: what a body waits for is not its service.
#[test]
fn slot_time_stands_while_a_body_waits() {
    let mut worker = work(1, config(1));
    feed(&mut worker, 0, queue(1));
    feed(&mut worker, 5, Input::Waits { task: task(1) });
    let time = |worker: &crate::Work, ms: u64| {
        worker.slot_time(task(1), Time::from_us(ms * 1_000)).map(|it| it.1.as_millis())
    };
    assert_eq!(time(&worker, 90), Some(5));
    feed(&mut worker, 90, Input::Runs { task: task(1) });
    assert_eq!(time(&worker, 93), Some(8));
    assert_eq!(worker.slot_time(task(2), Time::from_us(93_000)), None);
}

#[test]
fn owners_hear_of_bodies_that_wait_for_long_once() {
    let mut worker = work(1, config(1));
    feed(&mut worker, 0, queue(1));
    feed(&mut worker, 0, Input::Waits { task: task(1) });
    assert_eq!(worker.deadline().unwrap().as_us(), 100_000);
    let message = Message::Waits { tasks: vec![(task(1), 1)] };
    assert_eq!(feed(&mut worker, 100, Input::Deadline), [Effect::Send { to: life(9), message }]);
    assert_eq!(worker.deadline(), None);
    feed(&mut worker, 101, Input::Runs { task: task(1) });
    feed(&mut worker, 102, Input::Waits { task: task(1) });
    feed(&mut worker, 103, Input::Runs { task: task(1) });
    assert_eq!(worker.deadline(), None, "short waits are not told");
}
