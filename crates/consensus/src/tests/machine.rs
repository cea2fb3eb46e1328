use formic_core::{Incarnation, Life, Protocol, Time};

use super::harness::{DELAY, World, ballot, electorate, peer, proposal};
use crate::{
    Config, Consensus, Effect, Error, Input, Message, Outcome, Reason, Record, Rejection, Signed,
    Statement, Submission, Verdict, Vote, accuse, leader,
};

fn ms(ms: u64) -> Time {
    Time::from_us(ms * 1_000)
}

#[test]
fn a_good_payload_is_approved_five_delays_after_it_is_proposed() {
    for voters in [4, 7, 10] {
        let mut world = World::new(voters);
        let id = proposal(1).instance(world.roster.electorate());
        world.feed(0, Input::Open(proposal(1)));
        world.run(ms(100));
        assert_eq!(world.decision(id).outcome, Outcome::Approved);
        // One delay each: submission, ballots, Propose, notarize, finalize.
        let last = world.decided.iter().map(|decided| decided[&id].1).max().unwrap();
        assert_eq!(last.as_us(), 5 * DELAY, "{voters} voters");
        assert_eq!(world.accused, []);
        assert!(world.voters.iter().all(|voter| voter.body(id).is_some()));
    }
}

#[test]
fn a_silent_leader_costs_two_deltas_and_a_delay() {
    let mut world = World::new(4);
    // Its ballot is not needed at a threshold of 3 of 4.
    let mut easy = proposal(1);
    easy.policy.threshold = 750;
    let id = easy.instance(world.roster.electorate());
    let silent = leader(world.roster.electorate(), id, 1).index();
    world.dead.push(silent);
    let first = (silent + 1) % 4;
    world.feed(first, Input::Open(easy));
    world.run(ms(2_000));
    assert_eq!(world.decision(id).outcome, Outcome::Approved);
    let times = (0..4).filter(|rank| *rank != silent).map(|rank| world.decided[rank][&id].1);
    // Ballots 2 delays, 2 delta of 200 ms, nullify 1, then Propose, notarize, finalize.
    assert_eq!(times.max().unwrap().as_us(), 6 * DELAY + 400_000);
}

#[test]
fn b2_one_no_of_four_rejects_at_nine_tenths() {
    let mut world = World::new(4);
    world.opinions[2] = Some(ballot(Verdict::Reject(Reason::Wrong)));
    let id = proposal(1).instance(world.roster.electorate());
    world.feed(0, Input::Open(proposal(1)));
    world.run(ms(100));
    assert_eq!(world.decision(id).outcome, Outcome::Rejected(Rejection::Dissent));
}

#[test]
fn b5_a_missing_ballot_expires_at_the_deadline_and_earlier_if_its_voter_is_down() {
    for (down, late, over) in [(None, 9_990, 12_000), (Some(2), 1_990, 4_000)] {
        let mut world = World::new(4);
        world.opinions[3] = None;
        world.dead.push(3);
        let mut asked = proposal(1);
        asked.policy.deadline_ms = 10_000;
        let id = asked.instance(world.roster.electorate());
        world.feed(0, Input::Open(asked));
        let life = |incarnation| Life::new(peer(3), Incarnation(incarnation));
        for rank in 0..3 {
            if let Some(incarnation) = down {
                // That an earlier life of it was there is no return, nor is its death.
                world.feed(rank, Input::Down(life(incarnation)));
                world.feed(rank, Input::Up(life(1)));
                world.feed(rank, Input::Down(life(1)));
            }
        }
        world.run(ms(late));
        assert!(world.decided.iter().all(|decided| decided.is_empty()));
        world.run(ms(over));
        assert_eq!(world.decision(id).outcome, Outcome::Expired);
    }
}

#[test]
fn who_is_back_in_its_next_life_is_waited_for() {
    let mut world = World::new(4);
    world.opinions[3] = None;
    let mut asked = proposal(1);
    asked.policy.deadline_ms = 10_000;
    let id = asked.instance(world.roster.electorate());
    world.feed(0, Input::Open(asked));
    for rank in 0..3 {
        world.feed(rank, Input::Down(Life::new(peer(3), Incarnation(1))));
        world.feed(rank, Input::Up(Life::new(peer(3), Incarnation(2))));
        // An old death that is told late.
        world.feed(rank, Input::Down(Life::new(peer(3), Incarnation(1))));
    }
    world.run(ms(9_990));
    world.feed(3, Input::Opinion(id, ballot(Verdict::Approve)));
    world.run(ms(10_100));
    assert_eq!(world.decision(id).outcome, Outcome::Approved);
}

#[test]
fn b4_whoever_votes_twice_is_accused_and_its_ballots_do_not_count() {
    let mut world = World::new(10);
    world.opinions[9] = None;
    let mut asked = proposal(1);
    asked.policy.threshold = 800;
    let id = asked.instance(world.roster.electorate());
    world.feed(0, Input::Open(asked));
    world.run(ms(2));
    let submission = world.voters[0].instances().next().map(|_| {
        let seal = world.sign(0, id, &Statement::Submit);
        Submission { proposal: asked, proposer: crate::Rank(0), seal }
    });
    for (to, verdict) in [(0, Verdict::Approve), (1, Verdict::Reject(Reason::Slow))] {
        let statement = Statement::Ballot(ballot(verdict));
        let seal = world.sign(9, id, &statement);
        let signed = Signed { instance: id, rank: crate::Rank(9), statement, seal };
        let message = Message::Ballot(Box::new((submission.clone().unwrap(), signed)));
        world.send(9, to, message.clone());
        world.send(9, 1 - to, message);
    }
    world.run(ms(3_000));
    let value = world.decision(id);
    assert_eq!(value.outcome, Outcome::Approved);
    assert!(world.accused.iter().all(|accused| *accused == peer(9)) && !world.accused.is_empty());
}

#[test]
fn r1_a_restarted_voter_repeats_what_it_said_and_says_nothing_else() {
    let mut world = World::new(4);
    let id = proposal(1).instance(world.roster.electorate());
    world.feed(0, Input::Open(proposal(1)));
    world.run(ms(100));
    for rank in 0..4 {
        let records = world.disks[rank].clone();
        let said: Vec<_> = records
            .iter()
            .filter_map(|record| match record {
                Record::Own(_, statement) => Some(*statement),
                _ => None,
            })
            .collect();
        assert!(said.iter().any(|one| matches!(one, Statement::Vote(Vote::Finalize(..)))));
        let mut again = Consensus::new(peer(rank), electorate(4), Config::default()).unwrap();
        let mut out = vec![];
        again.handle(ms(200), Input::Restore(records), &mut out).unwrap();
        let signs: Vec<_> = out
            .iter()
            .filter_map(|effect| match effect {
                Effect::Sign(_, statement) => Some(*statement),
                _ => None,
            })
            .collect();
        assert_eq!(signs, said);
        assert_eq!(again.decided(id), world.voters[rank].decided(id));
        let refused = again.handle(ms(200), Input::Restore(vec![]), &mut out);
        assert_eq!(refused, Err(Error::Restore));
    }
}

#[test]
fn own_statements_are_durable_before_they_are_signed() {
    let mut voter = Consensus::new(peer(0), electorate(4), Config::default()).unwrap();
    let mut out = vec![];
    let id = proposal(1).instance(&electorate(4));
    voter.handle(ms(0), Input::Open(proposal(1)), &mut out).unwrap();
    let seal = World::new(4).sign(0, id, &Statement::Submit);
    voter.handle(ms(0), Input::Signed(id, Statement::Submit, seal.clone()), &mut out).unwrap();
    out.clear();
    let mine = ballot(Verdict::Approve);
    voter.handle(ms(1), Input::Opinion(id, mine), &mut out).unwrap();
    let statement = Statement::Ballot(mine);
    let expected = vec![Effect::Persist(Record::Own(id, statement)), Effect::Sign(id, statement)];
    assert_eq!(out, expected);
    let before = voter.clone();
    let mut none = vec![];
    let refused = [
        (Input::Opinion(id, mine), Error::Late { instance: id }),
        (Input::Signed(id, Statement::Timeout, seal), Error::NotAsked),
    ];
    for (input, error) in refused {
        assert_eq!(voter.handle(ms(1), input, &mut none), Err(error));
    }
    assert_eq!((voter, none), (before, vec![]));
}

/// Found by the simulator (consensus, seed 80): a voter counted itself among those that know.
#[test]
fn a7_a_voter_that_missed_everything_is_told() {
    let mut world = World::new(4);
    let mut asked = proposal(1);
    asked.policy.threshold = 750;
    let id = asked.instance(world.roster.electorate());
    let leads = leader(world.roster.electorate(), id, 1).index();
    let missing = (leads + 1) % 4;
    world.dead.push(missing);
    world.feed(leads, Input::Open(asked));
    world.run(ms(300));
    assert_eq!(world.decision(id).outcome, Outcome::Approved);
    world.dead.clear();
    world.run(ms(2_000));
    assert_eq!(world.decision(id).outcome, Outcome::Approved);
    world.run(ms(60_000));
    assert!(world.voters.iter().all(|voter| voter.deadline().is_none()), "quiet in the end");
}

#[test]
fn too_many_open_instances_are_refused() {
    let mut world = World::new(4);
    world.opinions = vec![None; 4];
    for subject in 0..64 {
        world.feed(0, Input::Open(proposal(subject)));
    }
    let refused = world.voters[0].handle(ms(0), Input::Open(proposal(64)), &mut vec![]);
    assert_eq!(refused, Err(Error::Busy { open: 64, max: 64 }));
}

#[test]
fn contradicting_certificates_name_the_liars() {
    let world = World::new(4);
    let id = proposal(1).instance(world.roster.electorate());
    let body = crate::Body::default();
    let value = |outcome| body.value(outcome, world.roster.electorate(), id);
    let certificate = |vote, ranks: [usize; 3]| crate::Certificate {
        instance: id,
        vote,
        seals: ranks
            .into_iter()
            .map(|rank| {
                let seal = world.sign(rank, id, &Statement::Vote(vote));
                (crate::Rank(u16::try_from(rank).unwrap()), seal)
            })
            .collect(),
    };
    let one = certificate(Vote::Finalize(1, value(Outcome::Approved)), [0, 1, 2]);
    let two = certificate(Vote::Nullify(1), [1, 2, 3]);
    let found = accuse(&[one.clone(), two]);
    let liars: Vec<_> = found.iter().map(|evidence| evidence.one.rank.0).collect();
    assert_eq!(liars, [1, 2]);
    for evidence in found {
        world.roster.check(Message::Evidence(Box::new(evidence))).unwrap();
    }
    assert_eq!(accuse(&[one.clone(), one]), []);
}
