use core::time::Duration;
use std::{collections::BTreeSet, sync::Arc};

use formic_consensus::{
    Ballot, Message as VoteMessage, Outcome, Policy, Reason, Rejection, Statement, Verdict,
    Weighting,
};
use formic_core::{Digest, JobId, Key, PeerId};
use formic_identity::SecretKey;

use super::world::{HANGS, SEED, World, approval, secret, tree};
use crate::{Case, Event, Input, Judgement, Message, Ruling, Say, votes::keys};

fn no() -> Ballot {
    Ballot { verdict: Verdict::Reject(Reason::Wrong), ..approval(0) }
}

fn peer(n: u8) -> PeerId {
    secret(n).public().peer_id()
}

fn case(voters: impl IntoIterator<Item = u8>, threshold: u16) -> Case {
    let mut voters: Vec<PeerId> = voters.into_iter().map(peer).collect();
    voters.sort_unstable();
    let policy = Policy {
        threshold,
        weighting: Weighting::Equal,
        deadline_ms: 30_000,
        floors: [800, 0, 0, 800, 0],
    };
    let (name, content) = ("check".to_owned(), b"the result".to_vec());
    Case { voters, task: Key::from_bytes([7; 16]), name, attempt: 0, author: None, policy, content }
}

/// A job that stays open, because its one body never ends.
fn open_job(world: &mut World) -> JobId {
    world.submit(SEED, tree(1, 1, HANGS))
}

fn ask(world: &mut World, n: u8, job: JobId, case: &Case) {
    let owner = Key::from_bytes([1; 16]);
    world.feed(n, Input::Decide { job, owner, case: Arc::new(case.clone()) });
}

/// What the asker was told, checked with nothing but the voters' names.
fn ruled(world: &World, n: u8, job: JobId, case: &Case) -> Option<Judgement> {
    let mesh = Digest::of(&[b"world"]);
    let pinned = crate::electorate(mesh, job, &case.voters).unwrap().digest();
    let mut own = world.rulings.iter().filter(|(at, task, _)| *at == n && *task == case.task);
    own.find_map(|(_, _, ruling)| match ruling {
        Ruling::Decided(decision) => Some(decision.check(Some(pinned)).unwrap()),
        Ruling::Undecided { .. } => None,
    })
}

#[test]
fn four_and_ten_voters_judge_a_result_and_whoever_asked_can_prove_it() {
    for count in [4, 10] {
        let mut world = World::of(count);
        let job = open_job(&mut world);
        let case = case(0..count, 900);
        ask(&mut world, SEED, job, &case);
        world.run_for(200_000);
        let judgement = ruled(&world, SEED, job, &case).expect("decided within 0.2 s");
        assert_eq!(judgement.outcome(), Outcome::Approved);
        assert!(judgement.ballots.len() * 10 >= usize::from(count) * 9);
        let judges: BTreeSet<u8> = world.judged.iter().map(|(n, _)| *n).collect();
        assert_eq!(judges.len(), usize::from(count), "each judges");
        assert_eq!(world.judged.len(), usize::from(count), "once");
        let lied =
            |event: &Event| matches!(event, Event::VoterLied { .. } | Event::Misbehaved { .. });
        assert_eq!(world.count(lied), 0);
    }
}

#[test]
fn nine_of_ten_are_enough_for_nine_tenths_and_eight_are_not() {
    for (against, outcome) in [
        (1, Outcome::Approved),
        (2, Outcome::Rejected(Rejection::Dissent)),
        (5, Outcome::Rejected(Rejection::Dissent)),
    ] {
        let mut world = World::of(10);
        world.judges.extend((0..against).map(|n| (n, Some(no()))));
        let job = open_job(&mut world);
        let case = case(0..10, 900);
        ask(&mut world, SEED, job, &case);
        world.run_for(1_000_000);
        let judgement = ruled(&world, SEED, job, &case).expect("decided");
        assert_eq!(judgement.outcome(), outcome, "{against} against: {}", judgement.in_words());
    }
}

#[test]
fn a_median_below_its_floor_rejects_in_words() {
    let mut world = World::of(4);
    let low = Ballot { scores: [790, 1_000, 1_000, 1_000, 1_000], ..approval(1_000) };
    world.judges.extend((0..3).map(|n| (n, Some(low))));
    let job = open_job(&mut world);
    let case = case(0..4, 750);
    ask(&mut world, SEED, job, &case);
    world.run_for(1_000_000);
    let judgement = ruled(&world, SEED, job, &case).expect("decided");
    assert_eq!(judgement.outcome(), Outcome::Rejected(Rejection::Floor(0)));
    let words = judgement.in_words();
    assert!(words.contains("quality 790 < 800"), "{words}");
}

#[test]
fn the_author_is_not_asked_about_its_own_work() {
    let mut world = World::of(4);
    let job = open_job(&mut world);
    let case = Case { author: Some(peer(2)), ..case(0..4, 900) };
    ask(&mut world, SEED, job, &case);
    world.run_for(1_000_000);
    let judgement = ruled(&world, SEED, job, &case).expect("decided");
    assert_eq!((judgement.outcome(), judgement.judges()), (Outcome::Approved, 3));
    assert!(world.judged.iter().all(|(n, _)| *n != 2), "it judged itself");
}

#[test]
fn whoever_has_no_vote_may_ask_and_is_told() {
    let mut world = World::of(6);
    let job = open_job(&mut world);
    let case = case(1..5, 900);
    ask(&mut world, SEED, job, &case);
    world.run_for(1_000_000);
    let judgement = ruled(&world, SEED, job, &case).expect("decided");
    assert_eq!(judgement.outcome(), Outcome::Approved);
    assert!(world.judged.iter().all(|(n, _)| (1..5).contains(n)));
}

/// A voter that says yes to half of the others and no to the rest.
fn two_faced(secret: &SecretKey, to: PeerId, message: Message) -> Option<Message> {
    let Message::Votes(mut votes) = message else { return Some(message) };
    if let Say::Vote(_, inner) = &mut votes.say
        && let VoteMessage::Ballot(pair) = &mut **inner
        && pair.1.seal.0.len() == 64
        && to.as_bytes()[0].is_multiple_of(2)
        && let Statement::Ballot(ballot) = &mut pair.1.statement
    {
        *ballot = no();
        let mut voters: Vec<PeerId> = (0..10).map(peer).collect();
        voters.sort_unstable();
        let mesh = Digest::of(&[b"world"]);
        let electorate = crate::electorate(mesh, votes.job, &voters).unwrap();
        let statement = pair.1.statement;
        let bytes = statement.bytes(&electorate, pair.1.instance, pair.1.rank);
        // Only its own ballots: it has nobody else's key.
        if electorate.member(pair.1.rank).unwrap().peer == secret.public().peer_id() {
            pair.1.seal = keys::seal(secret, &bytes);
        }
    }
    Some(Message::Votes(votes))
}

#[test]
fn a_voter_with_two_faces_is_found_out_and_changes_nothing() {
    let mut world = World::of(10);
    let evens = (0..10).filter(|n| peer(*n).as_bytes()[0].is_multiple_of(2)).count();
    assert!((2..9).contains(&evens), "both faces are seen: {evens}");
    let liar = 4;
    world.liar = Some((liar, two_faced));
    let job = open_job(&mut world);
    let case = case(0..10, 900);
    ask(&mut world, SEED, job, &case);
    world.run_for(5_000_000);
    let judgement = ruled(&world, SEED, job, &case).expect("decided");
    assert_eq!(judgement.outcome(), Outcome::Approved, "{}", judgement.in_words());
    let lied: BTreeSet<PeerId> = (world.events.iter())
        .filter_map(|(_, event)| match event {
            Event::VoterLied { peer, .. } => Some(*peer),
            _ => None,
        })
        .collect();
    assert_eq!(lied, BTreeSet::from([peer(liar)]), "the liar, and nobody else");
    let status = world.nodes[&SEED].status();
    assert_eq!((status.electorates[0].voters.len(), status.electorates[0].decided), (10, 1));
    let worst = status.reputations.iter().min_by_key(|it| it.per_mille).copied();
    if !judgement.liars.is_empty() {
        assert_eq!(worst.map(|it| it.peer), Some(peer(liar)));
    }
}

#[test]
fn a_dead_voter_that_is_needed_makes_it_expire_and_one_that_is_not_does_not() {
    for (threshold, outcome) in [(900, Outcome::Expired), (750, Outcome::Approved)] {
        let mut world = World::of(4);
        let job = open_job(&mut world);
        world.crash(3);
        world.run_for(3_000_000);
        let case = case(0..4, threshold);
        ask(&mut world, SEED, job, &case);
        world.run_for(10_000_000);
        let judgement = ruled(&world, SEED, job, &case).expect("decided long before its deadline");
        assert_eq!(judgement.outcome(), outcome);
    }
}

#[test]
fn without_a_quorum_of_voters_a_question_is_given_up_in_words() {
    let mut world = World::of(7);
    let job = open_job(&mut world);
    let case = case(0..4, 750);
    [2, 3].into_iter().for_each(|n| world.crash(n));
    world.run_for(5_000_000);
    ask(&mut world, SEED, job, &case);
    world.run_for(20_000_000);
    let reason = world.rulings.iter().find_map(|(_, _, ruling)| match ruling {
        Ruling::Undecided { reason } => Some(reason.clone()),
        Ruling::Decided(_) => None,
    });
    let reason = reason.expect("nobody waits for ever");
    assert!(reason.starts_with("no quorum of voters: 2 of 4 are gone"), "{reason}");
}

#[test]
fn restarted_voters_repeat_themselves_and_decide() {
    for when in [500, 10_000, 21_000, 22_500] {
        let mut world = World::of(4);
        let job = open_job(&mut world);
        let case = case(0..4, 900);
        ask(&mut world, SEED, job, &case);
        world.run_for(when);
        // All judge differently afterwards: whoever has voted must not vote again.
        (1..4).for_each(|n| world.crash(n));
        world.judges.extend((1..4).map(|n| (n, Some(approval(900)))));
        world.run_for(1_000);
        (1..4).for_each(|n| world.start(n));
        world.run_for(20_000_000);
        let judgement = ruled(&world, SEED, job, &case);
        let judgement = judgement.unwrap_or_else(|| panic!("{when}: never decided"));
        assert_eq!(judgement.outcome(), Outcome::Approved, "{when}: {}", judgement.in_words());
        let lied = |event: &Event| matches!(event, Event::VoterLied { .. });
        assert_eq!(world.count(lied), 0, "{when}: an honest voter contradicts itself");
    }
}

#[test]
fn the_same_question_asked_twice_is_one_decision() {
    let mut world = World::of(4);
    let job = open_job(&mut world);
    let case = case(0..4, 900);
    ask(&mut world, SEED, job, &case);
    world.run_for(1_000_000);
    let judged = world.judged.len();
    let first = ruled(&world, SEED, job, &case).expect("decided");
    // The root's next home peer asks again.
    world.feed(
        1,
        Input::Decide { job, owner: Key::from_bytes([1; 16]), case: Arc::new(case.clone()) },
    );
    world.run_for(1_000_000);
    let second = ruled(&world, 1, job, &case).expect("decided already");
    assert_eq!((second.instance(), second.outcome()), (first.instance(), first.outcome()));
    assert_eq!(world.judged.len(), judged, "nobody judges again");
}

#[test]
fn what_cannot_be_asked_is_said_at_once() {
    let mut world = World::of(1);
    let job = open_job(&mut world);
    let no_voters = Case { voters: vec![], ..case(0..1, 900) };
    let alone = Case { author: Some(peer(0)), ..case(0..1, 900) };
    let low = case(0..1, 400);
    for bad in [no_voters, alone, low] {
        world.rulings.clear();
        ask(&mut world, SEED, job, &bad);
        assert!(matches!(world.rulings[0].2, Ruling::Undecided { .. }), "{bad:?}");
    }
}

#[test]
fn a_decision_is_about_its_job_its_task_and_its_ballots() {
    let mut world = World::of(4);
    let job = open_job(&mut world);
    let case = case(0..4, 900);
    ask(&mut world, SEED, job, &case);
    world.run_for(1_000_000);
    let Some((_, _, Ruling::Decided(decision))) = world.rulings.first() else { panic!("decided") };
    let good = (**decision).clone();
    assert!(good.check(None).is_ok());
    // Of whoever learned it from the signatures alone: nobody is counted who was not seen.
    let mut bare = good.clone();
    bare.body = None;
    let said = bare.check(None).unwrap().in_words();
    assert!(said.contains("ballots are not known here") && !said.contains(" of "), "{said}");
    assert!(good.body.is_some(), "ballots are kept");
    let mut bad = vec![good.clone(); 4];
    bad[0].job = JobId::from_bytes([9; 16]);
    bad[1].name = "another".to_owned();
    bad[2].task = Key::from_bytes([8; 16]);
    bad[3].body.as_mut().unwrap().ballots.pop();
    for bad in bad {
        assert!(bad.check(None).is_err(), "{bad:?}");
    }
    assert!(good.check(Some(Digest::of(&[b"another electorate"]))).is_err());
}

#[test]
fn the_settings_have_ranges() {
    let mut world = World::default();
    let mut config = world.config(0);
    config.voters_lost = Duration::from_secs(3_601);
    assert!(crate::Node::new(config).is_err());
    let mut config = world.config(0);
    config.consensus.open_total = 0;
    assert!(crate::Node::new(config).is_err());
}
