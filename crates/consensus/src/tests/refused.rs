use formic_core::wire;

use super::harness::{Toy, World, ballot, electorate, proposal, roster};
use crate::{
    Body, Certificate, Evidence, InstanceId, Message, Misbehaviour, Outcome, Propose, Rank, Seal,
    Signed, Statement, Submission, Verdict, Vote, leader,
};

fn instance() -> InstanceId {
    proposal(1).instance(&electorate(4))
}

fn signed(rank: u16, statement: Statement) -> Signed {
    let seal = World::new(4).sign(usize::from(rank), instance(), &statement);
    Signed { instance: instance(), rank: Rank(rank), statement, seal }
}

fn certificate(vote: Vote, ranks: &[u16]) -> Certificate {
    let seal = |rank: &u16| (Rank(*rank), signed(*rank, Statement::Vote(vote)).seal);
    Certificate { instance: instance(), vote, seals: ranks.iter().map(seal).collect() }
}

#[test]
fn a_certificate_needs_a_quorum_of_different_members() {
    let vote = Vote::Nullify(1);
    let check = |certificate| roster(4).check(Message::Certificate(certificate)).map(drop);
    assert_eq!(check(certificate(vote, &[0, 2, 3])), Ok(()));
    let quorum = 3;
    let few = check(certificate(vote, &[0, 1]));
    assert_eq!(few, Err(Misbehaviour::NoQuorum { found: 2, quorum }));
    let twice = check(certificate(vote, &[0, 1, 1]));
    assert_eq!(twice, Err(Misbehaviour::Unsorted { rank: Rank(1) }));
    let mut foreign = certificate(vote, &[0, 1, 2]);
    foreign.seals.push((Rank(4), Seal(vec![])));
    assert_eq!(check(foreign), Err(Misbehaviour::NotMember { rank: Rank(4) }));
    assert_eq!(check(certificate(Vote::Nullify(0), &[0, 1, 2])), Err(Misbehaviour::RoundZero));
}

#[test]
fn a_statement_of_another_instance_electorate_or_kind_is_refused() {
    let good = signed(1, Statement::Vote(Vote::Nullify(1)));
    let check = |signed: Signed| roster(4).check(Message::Statement(Box::new(signed))).map(drop);
    assert_eq!(check(good.clone()), Ok(()));
    let seal = Err(Misbehaviour::Seal { rank: Rank(1) });
    assert_eq!(
        check(Signed { instance: proposal(2).instance(&electorate(4)), ..good.clone() }),
        seal
    );
    assert_eq!(check(Signed { statement: Statement::Timeout, ..good.clone() }), seal);
    let elsewhere = roster(7).check(Message::Statement(Box::new(good.clone())));
    assert_eq!(elsewhere.map(drop), seal);
    assert_eq!(check(signed(1, Statement::Submit)), Err(Misbehaviour::WrongKind));
    let long = Signed { seal: Seal(vec![0; 257]), ..good };
    assert_eq!(check(long), seal);
}

#[test]
fn a_propose_is_its_leaders_and_hashes_to_its_value() {
    let four = electorate(4);
    let body = Body::default();
    let value = body.value(Outcome::Expired, &four, instance());
    let leads = leader(&four, instance(), 1);
    let vote = signed(leads.0, Statement::Vote(Vote::Notarize(1, value)));
    let good = Propose { vote, body: Some(body), certificates: vec![] };
    let check = |propose: Propose| roster(4).check(Message::Propose(Box::new(propose))).map(drop);
    assert_eq!(check(good.clone()), Ok(()));
    let other = Rank((leads.0 + 1) % 4);
    let vote = signed(other.0, good.vote.statement);
    let refused = check(Propose { vote, ..good.clone() });
    assert_eq!(refused, Err(Misbehaviour::NotLeader { round: 1 }));
    let mut body = Body::default();
    let yes = signed(0, Statement::Ballot(ballot(Verdict::Approve)));
    body.ballots.push((Rank(0), ballot(Verdict::Approve), yes.seal));
    assert_eq!(check(Propose { body: Some(body), ..good }), Err(Misbehaviour::WrongRoot));
}

#[test]
fn evidence_proves_a_contradiction_of_one_voter() {
    let (one, two) = (Vote::Nullify(1), Vote::Nullify(2));
    let pair = |one, two| Evidence { one, two };
    let check = |evidence| roster(4).check(Message::Evidence(Box::new(evidence))).map(drop);
    let refused = check(pair(signed(0, Statement::Vote(one)), signed(0, Statement::Vote(two))));
    assert_eq!(refused, Err(Misbehaviour::NoContradiction));
    let yes = Statement::Ballot(ballot(Verdict::Approve));
    let no = Statement::Ballot(ballot(Verdict::Reject(crate::Reason::None)));
    assert_eq!(check(pair(signed(0, yes), signed(0, no))), Ok(()));
    assert_eq!(check(pair(signed(0, yes), signed(1, no))), Err(Misbehaviour::NoContradiction));
    assert_eq!(check(pair(signed(0, yes), signed(0, yes))), Err(Misbehaviour::NoContradiction));
}

/// Any one changed byte of any message is refused, or means the same signed statements.
#[test]
fn a_changed_byte_never_panics_and_never_becomes_another_statement() {
    let yes = signed(0, Statement::Ballot(ballot(Verdict::Approve)));
    let seal = signed(0, Statement::Submit).seal;
    let submission = Submission { proposal: proposal(1), proposer: Rank(0), seal };
    let message = Message::Ballot(Box::new((submission, yes)));
    let bytes = wire::encode(&message).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(other) = wire::decode::<Message>(&changed) {
                assert!(roster(4).check(other).is_err(), "byte {at}, bit {bit}");
            }
        }
    }
    assert!(roster(4).check(message).is_ok());
}

/// The lengths of consensus.md section 5, and frozen hashes of the bytes.
#[test]
fn signed_bytes_are_frozen() {
    let four = electorate(4);
    let value = Body::default().value(Outcome::Approved, &four, instance());
    let lengths = [
        (Statement::Ballot(ballot(Verdict::Approve)), 196),
        (Statement::Timeout, 152),
        (Statement::Vote(Vote::Notarize(1, value)), 192),
        (Statement::Vote(Vote::Finalize(1, value)), 192),
        (Statement::Vote(Vote::Nullify(1)), 192),
    ];
    let mut all = vec![];
    for (statement, length) in lengths {
        let bytes = statement.bytes(&four, instance(), Rank(2));
        assert_eq!(bytes.len(), length, "{statement:?}");
        all.extend(bytes);
    }
    assert_eq!(four.bytes().len(), 164 + 75 * 4);
    assert_eq!(formic_core::Digest::of(&[&all]).short(), "9c4fa465");
    assert_eq!(Toy(0).seal(&all).0.len(), 16);
}
