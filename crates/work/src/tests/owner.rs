use formic_core::Protocol as _;

use super::{
    capability, choose, chosen, config, descriptor, feed, life, message, place, probe, promise,
    task, want, work,
};
use crate::{Config, Effect, Input, Load, Message, Offer, Reason};

fn placed(out: &[Effect]) -> Vec<u8> {
    let life = |effect: &Effect| match effect {
        Effect::Placed { life, .. } => Some(life.peer.as_bytes()[0]),
        _ => None,
    };
    out.iter().filter_map(life).collect()
}

fn sent_to(out: &[Effect], wanted: &Message) -> Vec<u8> {
    let target = |effect: &Effect| match effect {
        Effect::Send { to, message } if message == wanted => Some(to.peer.as_bytes()[0]),
        _ => None,
    };
    out.iter().filter_map(target).collect()
}

#[test]
fn a_batch_is_spread_by_load() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    (1..6).for_each(|n| drop(feed(&mut owner, 0, place(n))));
    let out = feed(&mut owner, 0, chosen(&[2, 3]));
    let mut asked = sent_to(&out, &probe(0, 6, 2, &[]));
    asked.sort_unstable();
    assert_eq!(asked, [2, 3], "one probe for all six");
    feed(&mut owner, 1, message(2, promise(0, 2, 4, 34)));
    let out = feed(&mut owner, 1, message(3, promise(0, 0, 2, 18)));
    let mut places = placed(&out);
    places.sort_unstable();
    // Two free slots at each, then 25 ms more a task at the one with four, 50 ms at the other.
    assert_eq!(places, [2, 2, 2, 2, 3, 3]);
    assert_eq!(owner.held(), 0);
}

#[test]
fn who_has_no_room_is_asked_to_report_it() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    feed(&mut owner, 0, chosen(&[2, 3]));
    feed(&mut owner, 0, message(2, promise(0, 8, 1, 0)));
    let out = feed(&mut owner, 0, message(3, promise(0, 9, 1, 0)));
    assert_eq!(sent_to(&out, &Message::Interest { tasks: 4 }), [2], "half of its queue");
    assert_eq!(sent_to(&out, &Message::Interest { tasks: 5 }), [3]);
    let out = feed(&mut owner, 0, chosen(&[2, 3]));
    assert_eq!(out, [], "nobody is left to ask");
    let out = feed(&mut owner, 5, message(3, Message::Room { room: 4 }));
    assert_eq!(out, [choose(&[])]);
    let out = feed(&mut owner, 5, chosen(&[2, 3]));
    assert_eq!(sent_to(&out, &probe(1, 1, 1, &[])), [3], "the full one is left alone");
    assert_eq!(placed(&feed(&mut owner, 6, message(3, promise(1, 1, 1, 4)))), [3]);
}

#[test]
fn a_lost_report_of_room_is_not_waited_for_forever() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    feed(&mut owner, 0, chosen(&[2]));
    feed(&mut owner, 0, message(2, promise(0, 1, 1, 0)));
    feed(&mut owner, 0, chosen(&[2]));
    assert_eq!(feed(&mut owner, 999, Input::Deadline), []);
    assert_eq!(feed(&mut owner, 1_000, Input::Deadline), [choose(&[])]);
    assert_eq!(feed(&mut owner, 1_000, chosen(&[2])).len(), 1, "asked again");
}

#[test]
fn silent_candidates_do_not_stop_the_others() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    feed(&mut owner, 0, chosen(&[2, 3]));
    assert_eq!(placed(&feed(&mut owner, 1, message(3, promise(0, 9, 1, 1)))), []);
    assert_eq!(placed(&feed(&mut owner, 20, Input::Deadline)), [3]);
    assert_eq!(feed(&mut owner, 21, message(2, promise(0, 0, 1, 1))), [], "too late");

    feed(&mut owner, 30, place(1));
    feed(&mut owner, 30, chosen(&[2, 3]));
    feed(&mut owner, 31, message(3, promise(1, 9, 1, 1)));
    assert_eq!(placed(&feed(&mut owner, 32, Input::Down { life: life(2) })), [3]);
}

#[test]
fn a_task_nobody_can_do_is_told_once_and_placed_when_somebody_can() {
    let mut owner = work(1, config(1));
    let gpu = vec![capability("gpu")];
    let wants =
        Input::Place { task: task(0), attempt: 1, descriptor: descriptor(&gpu), avoid: None };
    feed(&mut owner, 0, wants);
    let none = Input::Chosen { want: want(&gpu), lives: vec![], missing: gpu.clone() };
    let told = Effect::Unplaceable { task: task(0), missing: gpu.clone() };
    assert_eq!(feed(&mut owner, 0, none.clone()), [told]);
    feed(&mut owner, 1, Input::RosterChanged);
    assert_eq!(feed(&mut owner, 1, none), [], "once");
    feed(&mut owner, 2, Input::RosterChanged);
    let joined = Input::Chosen { want: want(&gpu), lives: vec![life(4)], missing: vec![] };
    feed(&mut owner, 2, joined);
    assert_eq!(placed(&feed(&mut owner, 3, message(4, promise(0, 0, 1, 8)))), [4]);
}

#[test]
fn what_is_given_back_goes_elsewhere() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    feed(&mut owner, 0, chosen(&[2]));
    assert_eq!(placed(&feed(&mut owner, 0, message(2, promise(0, 0, 1, 8)))), [2]);
    let returned = |n| {
        let tasks = vec![(task(0), 1)];
        message(n, Message::Returned { tasks, reason: Reason::Draining })
    };
    assert_eq!(feed(&mut owner, 1, returned(3)), [], "a liar frees nobody else's task");
    let withdrawn = Effect::Withdrawn { task: task(0), attempt: 1 };
    assert_eq!(feed(&mut owner, 1, returned(2)), [withdrawn, choose(&[])]);
    feed(&mut owner, 1, chosen(&[2, 3]));
    assert_eq!(placed(&feed(&mut owner, 1, message(3, promise(1, 5, 1, 1)))), [3]);
}

#[test]
fn the_only_capable_peer_gets_it_although_it_failed_it() {
    let mut owner = work(1, config(1));
    let avoid = Some(life(2));
    let again = Input::Place { task: task(0), attempt: 2, descriptor: descriptor(&[]), avoid };
    feed(&mut owner, 0, again);
    feed(&mut owner, 0, chosen(&[2]));
    assert_eq!(placed(&feed(&mut owner, 0, message(2, promise(0, 0, 1, 8)))), [2]);
}

#[test]
fn too_much_held_is_reported() {
    let mut owner = work(1, Config { held_max: 10, ..config(1) });
    let full: Vec<_> = (0..12).map(|n| feed(&mut owner, 0, place(n))).collect();
    let reports = full.iter().filter(|out| out.contains(&Effect::Full)).count();
    assert!(full[9].contains(&Effect::Full) && reports == 1 && owner.is_full());
    feed(&mut owner, 0, chosen(&[2]));
    let out = feed(&mut owner, 0, message(2, promise(0, 0, 1, 3)));
    assert_eq!(placed(&out).len(), 3);
    assert!(out.contains(&Effect::NotFull), "9 are held");
    feed(&mut owner, 0, Input::JobOver { job: task(0).job });
    assert_eq!(owner.held(), 0);
}

/// Answers over a slow link come after the first probe was given up.
#[test]
fn a_slow_link_is_waited_for() {
    let mut work = work(1, config(1));
    feed(&mut work, 0, place(0));
    let (mut now, mut out) = (0, feed(&mut work, 0, chosen(&[2])));
    for round in 0..10 {
        let asked = out.iter().find_map(|effect| match effect {
            Effect::Send { message: Message::Probe(probe), .. } => Some(probe.id),
            _ => None,
        });
        let answer_at = now + 60;
        let until = work.deadline().unwrap().as_us() / 1_000;
        if let Some(id) = asked
            && until >= answer_at
        {
            let out = feed(&mut work, answer_at, message(2, promise(id, 0, 1, 1)));
            assert!(matches!(out[..], [Effect::Placed { .. }]), "{out:?}");
            return;
        }
        now = until;
        out = feed(&mut work, now, Input::Deadline);
        if out.iter().any(|effect| matches!(effect, Effect::Choose { .. })) {
            out = feed(&mut work, now, chosen(&[2]));
        }
        assert!(round < 9, "placed at last");
    }
}

#[test]
fn who_was_held_for_dead_may_answer() {
    let mut work = work(1, config(1));
    feed(&mut work, 0, place(0));
    feed(&mut work, 0, chosen(&[2, 3]));
    feed(&mut work, 1, Input::Down { life: life(2) });
    assert_eq!(feed(&mut work, 2, message(2, promise(0, 0, 1, 1))), []);
}

/// A ledger that drops a child and takes it on again asks for a place of the same attempt.
#[test]
fn what_was_awarded_is_placed_again_when_asked_again() {
    let mut work = work(1, config(1));
    feed(&mut work, 0, place(0));
    feed(&mut work, 0, chosen(&[2]));
    assert_eq!(feed(&mut work, 1, place(0)), [], "it is under way");
    assert_eq!(placed(&feed(&mut work, 1, message(2, promise(0, 0, 1, 1)))), [2]);
    let withdrawn = Effect::Withdrawn { task: task(0), attempt: 1 };
    assert_eq!(feed(&mut work, 2, place(0)), [withdrawn, choose(&[])]);
    feed(&mut work, 2, chosen(&[3]));
    assert_eq!(placed(&feed(&mut work, 3, message(3, promise(1, 0, 1, 1)))), [3]);
}

/// Its ledger counts attempts anew: the lower one is no repeat of what happened before.
#[test]
fn a_lower_attempt_after_a_drop_is_placed_too() {
    let with = |attempt| match place(0) {
        Input::Place { task, descriptor, avoid, .. } => {
            Input::Place { task, attempt, descriptor, avoid }
        }
        other => other,
    };
    let mut work = work(1, config(1));
    feed(&mut work, 0, with(2));
    feed(&mut work, 0, chosen(&[2]));
    assert_eq!(placed(&feed(&mut work, 1, message(2, promise(0, 0, 1, 1)))), [2]);
    let withdrawn = Effect::Withdrawn { task: task(0), attempt: 2 };
    assert_eq!(feed(&mut work, 2, with(1)), [withdrawn, choose(&[])]);
    feed(&mut work, 2, chosen(&[3]));
    let out = feed(&mut work, 3, message(3, promise(1, 0, 1, 1)));
    assert!(matches!(out[0], Effect::Placed { attempt: 1, .. }), "{out:?}");
}

fn wait(id: u64, wait_ms: u64, service_ms: u64) -> Message {
    let offer = Some(Offer { room: 8, wait_us: wait_ms * 1_000, service_us: service_ms * 1_000 });
    Message::Promise { id, load: Load { running: 1, queued: 2, slots: 1 }, offer }
}

/// W5: four mean services of a second.
#[test]
fn what_would_wait_too_long_is_held_back_until_somebody_has_less_to_do() {
    let mut owner = work(1, config(1));
    (0..3).for_each(|n| drop(feed(&mut owner, 0, place(n))));
    feed(&mut owner, 0, chosen(&[2]));
    let out = feed(&mut owner, 0, message(2, wait(0, 3_000, 900)));
    assert_eq!(placed(&out), [2, 2], "the second waits 3.9 s, a third would 4.8");
    // It had one running and two queued, and got two more: with half of these it is to report.
    assert_eq!(sent_to(&out, &Message::Interest { tasks: 3 }), [2]);
    assert!(out.contains(&choose(&[])), "others may have less to do");
    feed(&mut owner, 0, chosen(&[2, 3]));
    let out = feed(&mut owner, 1, message(3, wait(1, 4_900, 900)));
    assert_eq!(placed(&out), [], "the full one is worth waiting for");
    assert_eq!(owner.held(), 1);
    feed(&mut owner, 1, chosen(&[2, 3]));
    assert_eq!(owner.deadline().unwrap().as_us(), 1_001_000, "in case a report is lost");
    let out = feed(&mut owner, 2, message(2, Message::Room { room: 6 }));
    assert_eq!(out, [choose(&[])]);
}

#[test]
fn kinds_and_requirements_are_probed_for_apart() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    let mut other = descriptor(&[]).as_ref().clone();
    other.kind = "other".into();
    let input = Input::Place { task: task(1), attempt: 1, descriptor: other.into(), avoid: None };
    let asks = feed(&mut owner, 0, input);
    assert!(matches!(&asks[..], [Effect::Choose { want: other }] if *other != want(&[])));
}

/// Whoever compares promises may have forgotten the task: the owner goes on after a second.
#[test]
fn an_answer_that_never_comes_does_not_stop_a_lane() {
    let mut owner = work(1, config(1));
    let mut raw = |at_ms: u64, input: Input| {
        let mut out = Vec::new();
        owner.handle(formic_core::Time::from_us(at_ms * 1_000), input, &mut out).unwrap();
        owner.check();
        out
    };
    raw(0, place(0));
    assert!(matches!(raw(0, chosen(&[2]))[..], [Effect::Draw { .. }]));
    assert_eq!(raw(999, Input::Deadline), []);
    assert_eq!(raw(1_000, Input::Deadline), [choose(&[])]);
}

#[test]
fn only_who_has_a_task_may_say_that_it_waits() {
    let mut owner = work(1, config(1));
    feed(&mut owner, 0, place(0));
    feed(&mut owner, 0, chosen(&[2]));
    feed(&mut owner, 0, message(2, promise(0, 0, 1, 8)));
    let waits = |n| message(n, Message::Waits { tasks: vec![(task(0), 1)] });
    assert_eq!(feed(&mut owner, 1, waits(3)), []);
    let told = Effect::Waits { task: task(0), attempt: 1, life: life(2) };
    assert_eq!(feed(&mut owner, 1, waits(2)), [told]);
}
