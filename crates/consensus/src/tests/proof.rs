use formic_core::{Digest, PeerId};
use formic_identity::{PublicKey, SecretKey};

use super::harness::proposal;
use crate::{
    Body, Certificate, Electorate, Flaw, Member, Misbehaviour, Outcome, Proposal, Rank, Seal,
    Standing, Statement, Vote, prove, verify,
};

struct Case {
    electorate: Electorate,
    proposal: Proposal,
    certificate: Certificate,
    spkis: Vec<[u8; 44]>,
}

/// Four voters with Ed25519 keys; three of them finalized.
fn case() -> Case {
    let mut secrets: Vec<_> = (1..=4).map(|seed| SecretKey::from_seed([seed; 32])).collect();
    secrets.sort_by_key(|secret| secret.public().peer_id());
    let member = |secret: &SecretKey| Member {
        peer: secret.public().peer_id(),
        scheme: 1,
        key: Digest::of(&[&secret.public().spki_der()]),
        standing: Standing { good: 65_536, bad: 0 },
    };
    let zero = Digest::from_bytes([0; 32]);
    let members = secrets.iter().map(member).collect();
    let electorate = Electorate::new(Digest::of(&[b"m"]), (0, zero), 501, members).unwrap();
    let instance = proposal(1).instance(&electorate);
    let vote = Vote::Finalize(2, Body::default().value(Outcome::Approved, &electorate, instance));
    let chosen = [0, 1, 3];
    let seal = |rank: u16| {
        let bytes = Statement::Vote(vote).bytes(&electorate, instance, Rank(rank));
        let seal = secrets[usize::from(rank)].sign(&bytes).as_bytes().to_vec();
        (Rank(rank), Seal(seal))
    };
    let certificate = Certificate { instance, vote, seals: chosen.map(seal).to_vec() };
    let spkis = chosen.map(|rank| secrets[usize::from(rank)].public().spki_der()).to_vec();
    Case { electorate, proposal: proposal(1), certificate, spkis }
}

fn key(scheme: u8, spki: &[u8]) -> Option<PublicKey> {
    (scheme == 1).then(|| PublicKey::from_spki_der(spki).ok()).flatten()
}

fn bytes(case: &Case) -> Vec<u8> {
    let spkis: Vec<&[u8]> = case.spkis.iter().map(|spki| &spki[..]).collect();
    prove(&case.electorate, &case.proposal, &case.certificate, &spkis).unwrap()
}

#[test]
fn a_proof_holds_with_nothing_but_the_pinned_digest() {
    let case = case();
    let decision = verify(Some(case.electorate.digest()), &bytes(&case), key).unwrap();
    assert_eq!(decision.proposal, case.proposal);
    assert_eq!(decision.value.outcome, Outcome::Approved);
    let signers: Vec<PeerId> = [0, 1, 3].map(|at| case.electorate.members()[at].peer).to_vec();
    assert_eq!(decision.signers, signers);
    let other = verify(Some(Digest::of(&[b"other"])), &bytes(&case), key);
    assert_eq!(other, Err(Flaw::Unpinned));
}

#[test]
fn every_flipped_bit_every_prefix_and_every_appended_byte_is_refused() {
    let case = case();
    let (pinned, good) = (Some(case.electorate.digest()), bytes(&case));
    for at in 0..good.len() {
        let mut changed = good.clone();
        for bit in 0..8 {
            changed[at] = good[at] ^ 1 << bit;
            assert!(verify(pinned, &changed, key).is_err(), "byte {at}, bit {bit}");
        }
        assert!(verify(pinned, &good[..at], key).is_err(), "cut at {at}");
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(verify(pinned, &longer, key), Err(Flaw::Layout { at: good.len() }));
}

#[test]
fn too_few_or_the_same_twice_prove_nothing() {
    let mut case = case();
    let pinned = Some(case.electorate.digest());
    let (seal, spki) = (case.certificate.seals.pop().unwrap(), case.spkis.pop().unwrap());
    let few = verify(pinned, &bytes(&case), key);
    assert_eq!(few, Err(Flaw::Votes(Misbehaviour::NoQuorum { found: 2, quorum: 3 })));
    let again = case.certificate.seals[1].clone();
    case.certificate.seals.push(again);
    case.spkis.push(case.spkis[1]);
    let twice = verify(pinned, &bytes(&case), key);
    assert_eq!(twice, Err(Flaw::Votes(Misbehaviour::Unsorted { rank: Rank(1) })));
    // Somebody else's key and signature in the place of a voter.
    case.certificate.seals[2] = (Rank(2), seal.1);
    case.spkis[2] = spki;
    assert_eq!(verify(pinned, &bytes(&case), key), Err(Flaw::Key { rank: Rank(2) }));
}
