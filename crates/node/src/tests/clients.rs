use formic_core::{Digest, JobId, Protocol as _, Time};

use super::world::{SEED, World, client, tree};
use crate::{Effect, Event, Input, Node, RemoteLeave, Reply, Request};

#[test]
fn a_client_submits_and_hears_the_verdict() {
    let mut world = World::of(3);
    let plan = Digest::of(&[b"p"]);
    world.ask(1, Request::Submit { request: 7, root: tree(2, 3, "t"), plan });
    world.run_for(5_000);
    let Some(Reply::Accepted { request: 7, job, home }) = world.replies.first().cloned() else {
        panic!("not accepted: {:?}", world.replies)
    };
    assert_eq!((home.len(), home[0]), (3, world.life(1)));
    world.ask(2, Request::Watch { job });
    world.run_for(5_000_000);
    world.assert_complete(job, 12);
    let verdicts = world.replies.iter().filter(|reply| matches!(reply, Reply::Verdict { .. }));
    assert_eq!(verdicts.count(), 2, "from the host and from the watched");
    world.ask(0, Request::Watch { job });
    assert!(matches!(world.replies.last(), Some(Reply::Verdict { .. })), "also afterwards");
    let job = JobId::derive(client(), 1);
    world.ask(0, Request::Watch { job });
    assert_eq!(world.replies.last(), Some(&Reply::Unknown { job }));
}

#[test]
fn status_shows_members_and_jobs() {
    let mut world = World::of(3);
    let job = world.submit(SEED, tree(3, 3, "t"));
    world.run_for(50_000);
    world.ask(SEED, Request::Status);
    let Some(Reply::Status(status)) = world.replies.last().cloned() else { panic!("no status") };
    assert_eq!(status.me, world.life(SEED));
    assert!(status.mesh.is_some());
    let states: Vec<_> = status.members.iter().map(|member| member.state.as_str()).collect();
    assert_eq!(states, ["alive"; 3]);
    let open = &status.jobs[0];
    assert_eq!((open.job, open.state.as_str(), open.rank), (job, "open", Some(0)));
    assert_eq!(open.home_alive, (3, 3));
    assert!(open.live > 0 && open.awaited > 0);
}

#[test]
fn a_founder_is_no_member_before_its_first_view() {
    let mut node = Node::new(World::default().config(SEED)).unwrap();
    let standing = |node: &Node| (node.status().members[0].state.clone(), node.status().quorum);
    assert_eq!(standing(&node), ("joining".to_owned(), false));
    // A client may be there before the founder's own first turn.
    let submit = Input::Submit { request: 1, root: tree(0, 0, "t"), plan: Digest::of(&[b"p"]) };
    let mut effects = Vec::new();
    node.handle(Time::ZERO, submit, &mut effects).unwrap();
    let reason = "this peer belongs to no mesh yet".to_owned();
    assert_eq!(effects, [Effect::SubmitRefused { request: 1, reason }]);
    node.handle(Time::ZERO, Input::Deadline, &mut effects).unwrap();
    assert_eq!(standing(&node), ("alive".to_owned(), true));
}

#[test]
fn a_cancelled_job_ends_everywhere() {
    let mut world = World::of(4);
    let job = world.submit(SEED, tree(4, 6, "t"));
    world.run_for(100_000);
    world.ask(3, Request::Cancel { job, reason: "changed my mind".into() });
    world.run_for(10_000_000);
    let verdicts = world.verdicts(job);
    assert_eq!(verdicts.len(), 4);
    assert!(verdicts.values().all(|verdict| verdict.decree.outcome.word() == "cancelled"));
}

#[test]
fn who_cannot_host_says_why() {
    let mut world = World::default();
    world.start(1);
    world.run_for(1_000);
    let submit = Input::Submit { request: 1, root: tree(0, 0, "t"), plan: Digest::of(&[b"p"]) };
    world.feed(1, submit.clone());
    assert_eq!(world.refused, ["this peer belongs to no mesh yet"]);
    world.start(SEED);
    world.run_for(5_000_000);
    world.feed(1, Input::Leave);
    world.feed(1, submit);
    assert!(world.left.contains(&1), "idle: it leaves at once");
}

#[test]
fn a_stranger_makes_nobody_leave_unless_allowed() {
    let mut world = World::of(2);
    world.ask(1, Request::Leave);
    world.run_for(10_000);
    assert!(world.left.is_empty());
    assert_eq!(world.count(|event| matches!(event, Event::Misbehaved { .. })), 1);
    let mut config = world.config(2);
    config.remote_leave = RemoteLeave::Allowed;
    world.start_with(2, config);
    world.run_for(3_000_000);
    world.ask(2, Request::Leave);
    world.run_for(10_000);
    assert!(world.left.contains(&2));
}
