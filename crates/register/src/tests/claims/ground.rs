//! Tasks that nobody claimed before those who could say so were gone.

use super::{
    rules::{Net, fence, lives},
    *,
};
use crate::{
    Error,
    claims::{Event, Message},
};

fn job() -> JobId {
    task(0).job
}

/// Five peers, the first three of which keep the tasks of one job.
fn net() -> Net {
    let mut net = Net::of(5, |rank| Claims::new(life(rank, 1)).of_job(job()));
    let guests = lives(&[0, 1, 2, 3, 4]);
    for rank in 0..5 {
        guests.iter().for_each(|guest| net.feed(rank, Input::Guest(*guest)));
    }
    net.view(&view(1, &lives(&[0, 1, 2])));
    net
}

/// The three are lost one by one, and replaced.
fn replace(net: &mut Net) {
    net.kill(1);
    net.view(&view(2, &lives(&[0, 2, 3])));
    net.pass(Duration::from_secs(1));
    net.kill(2);
    net.view(&view(3, &lives(&[0, 3, 4])));
    net.pass(Duration::from_secs(1));
    net.kill(0);
    net.view(&view(4, &lives(&[3, 4])));
    net.pass(Duration::from_secs(1));
}

#[test]
fn a_task_that_nobody_claimed_outlives_all_its_first_keepers() {
    let mut net = net();
    replace(&mut net);
    net.claim(4);
    assert_eq!(net.granted(4), Some(fence(4, 1)));
}

/// What was claimed is not taken for fresh: its result is found.
#[test]
fn a_task_that_was_decided_does_not_run_again() {
    let mut net = net();
    net.claim(1);
    net.feed(1, Input::Commit { task: task(0), value: 7 });
    replace(&mut net);
    net.claim(4);
    assert_eq!(net.granted(4), None);
    assert!(net.happened(4, |event| *event == Event::Adopted { task: task(0), value: 7 }));
}

/// A majority of the set before is asked; one of them may not know.
#[test]
fn one_answer_is_not_enough() {
    let mut net = net();
    net.kill(1);
    net.kill(2);
    net.view(&view(2, &lives(&[0, 3, 4])));
    net.pass(Duration::from_secs(2));
    net.claim(4);
    net.pass(Duration::from_secs(2));
    assert_eq!(net.granted(4), None, "1 and 2 may have promised it");
}

/// One that pulled everything for a view tells the others of that view, when those of the view before are gone.
#[test]
fn one_that_has_it_all_is_enough() {
    let mut net = net();
    net.claim(1);
    net.feed(1, Input::Commit { task: task(0), value: 7 });
    net.kill(2);
    net.kill(3);
    net.view(&view(2, &lives(&[0, 1, 3])));
    net.pass(Duration::from_secs(1));
    net.kill(1);
    net.revive(3);
    net.feed(3, Input::View(view(2, &lives(&[0, 1, 3]))));
    net.pass(Duration::from_secs(1));
    net.view(&view(3, &lives(&[3, 4])));
    net.kill(0);
    net.pass(Duration::from_secs(2));
    net.claim(4);
    net.pass(Duration::from_secs(2));
    assert!(net.happened(4, |event| *event == Event::Adopted { task: task(0), value: 7 }));
}

/// A majority of the first three is lost right after the second view: it has told what it knew, unasked.
#[test]
fn who_was_asked_too_early_answers_on_entering() {
    let mut net = net();
    net.kill(2);
    let next = view(2, &lives(&[0, 1, 3]));
    for rank in [3, 0, 1, 4] {
        net.feed(rank, Input::View(Arc::clone(&next)));
    }
    net.kill(1);
    let last = view(3, &lives(&[0, 3, 4]));
    for rank in [0, 3, 4] {
        net.feed(rank, Input::View(Arc::clone(&last)));
    }
    net.claim(4);
    net.pass(Duration::from_secs(2));
    assert_eq!(net.granted(4).map(|fence| fence.epoch), Some(Epoch(3)), "0 and 3 heard 1 out");
}

/// What was learnt is not asked again after a restart: those who knew may be gone.
#[test]
fn what_is_fresh_is_durable() {
    let mut net = net();
    replace(&mut net);
    let records = net.records.iter().filter(|(rank, _)| *rank == 3);
    let records: Vec<_> = records.map(|(_, record)| record.clone()).collect();
    net.machines[3] = Claims::new(life(3, 2)).of_job(job());
    net.feed(3, Input::Restore(records));
    let views = [&[0, 1, 2][..], &[0, 2, 3], &[0, 3, 4], &[3, 4]];
    for (epoch, ranks) in (1..).zip(views) {
        net.feed(3, Input::View(view(epoch, &lives(ranks))));
    }
    net.claim(4);
    assert_eq!(net.granted(4), Some(fence(4, 1)));
}

#[test]
fn too_many_known_tasks_are_refused() {
    let mut net = net();
    let keys = vec![task(0).key; 2_049];
    let message = Message::Known { job: job(), epoch: Epoch(1), installed: Epoch(1), keys };
    let from = life(1, 1);
    let input = Input::Message { from, message };
    let error = net.machines[0].handle(net.now, input, &mut Vec::new());
    assert_eq!(error, Err(Error::BadAsk { from }));
}
