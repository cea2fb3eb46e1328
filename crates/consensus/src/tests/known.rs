#![expect(clippy::disallowed_types, reason = "a key that counts how often it is asked")]

use core::cell::Cell;

use super::harness::{World, ballot, electorate, proposal};
use crate::{
    Body, Known, Message, Misbehaviour, Outcome, Propose, PublicKey, Rank, Roster, Seal, Signed,
    Statement, Verdict, Vote, leader,
};

/// Counts how often it is asked.
#[derive(Debug)]
struct Counting<'a>(super::harness::Toy, &'a Cell<u32>);

impl PublicKey for Counting<'_> {
    fn verify(&self, statement: &[u8], signature: &[u8]) -> bool {
        self.1.set(self.1.get() + 1);
        self.0.verify(statement, signature)
    }
}

fn roster(count: &Cell<u32>) -> Roster<Counting<'_>> {
    let keys = (0..4).map(|key| Counting(super::harness::Toy(key), count)).collect();
    Roster::new(electorate(4), keys).unwrap()
}

fn signed(rank: u16, statement: Statement) -> Signed {
    let instance = proposal(1).instance(&electorate(4));
    let seal = World::new(4).sign(usize::from(rank), instance, &statement);
    Signed { instance, rank: Rank(rank), statement, seal }
}

#[test]
fn a_proposal_costs_only_what_is_new() {
    let (count, four) = (Cell::new(0), electorate(4));
    let (roster, mut known) = (roster(&count), Known::default());
    let instance = proposal(1).instance(&four);
    let yes = Statement::Ballot(ballot(Verdict::Approve));
    let seal = signed(0, Statement::Submit).seal;
    let submission = crate::Submission { proposal: proposal(1), proposer: Rank(0), seal };
    roster.own(&signed(3, yes), &mut known);
    for rank in 0..3 {
        let pair = Box::new((submission.clone(), signed(rank, yes)));
        roster.check_known(Message::Ballot(pair), &mut known).unwrap();
    }
    assert_eq!(count.get(), 4, "one submission and three ballots; the fourth is mine");
    let ballots = (0..4).map(|rank| (Rank(rank), ballot(Verdict::Approve), signed(rank, yes).seal));
    let body = Body { ballots: ballots.collect(), ..Body::default() };
    let value = body.value(Outcome::Approved, &four, instance);
    let vote = signed(leader(&four, instance, 1).0, Statement::Vote(Vote::Notarize(1, value)));
    let propose = Propose { vote, body: Some(body), certificates: vec![] };
    let message = Message::Propose(Box::new(propose));
    roster.check_known(message.clone(), &mut known).unwrap();
    assert_eq!(count.get(), 5, "the leader's vote");
    roster.check(message).unwrap();
    assert_eq!(count.get(), 10, "without a memory all of it");
}

#[test]
fn a_known_statement_with_another_signature_is_checked() {
    let count = Cell::new(0);
    let (roster, mut known) = (roster(&count), Known::default());
    let good = signed(1, Statement::Timeout);
    let told = |signed: Signed| Message::Statement(Box::new(signed));
    roster.check_known(told(good.clone()), &mut known).unwrap();
    let forged = Signed { seal: Seal(vec![0; 16]), ..good.clone() };
    for _ in 0..2 {
        let refused = roster.check_known(told(forged.clone()), &mut known);
        assert_eq!(refused.map(drop), Err(Misbehaviour::Seal { rank: Rank(1) }));
    }
    let other = Signed { rank: Rank(2), ..good.clone() };
    assert!(roster.check_known(told(other), &mut known).is_err());
    assert_eq!((count.get(), known.len()), (4, 1), "what is bad is not remembered");
    roster.check_known(told(good), &mut known).unwrap();
    assert_eq!(count.get(), 4);
}

#[test]
fn memory_is_bounded_by_two_generations() {
    let count = Cell::new(0);
    let (roster, mut known) = (roster(&count), Known::new(8));
    assert!(known.is_empty());
    for round in 1..=100 {
        roster.own(&signed(0, Statement::Vote(Vote::Nullify(round))), &mut known);
        assert!(known.len() <= 16 && (round < 8 || known.len() >= 8), "{}", known.len());
    }
}
