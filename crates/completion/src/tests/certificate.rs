//! What a certificate must look like, whatever its signatures say.

use super::{peer::*, *};
use crate::BadCertificate as Bad;

fn group() -> [Life; 3] {
    [life(1, 1), life(2, 1), life(3, 1)]
}

fn good() -> Certificate {
    let statement = statement(&group(), &group(), &[life(4, 1)]);
    Certificate { statement, attestations: group()[..2].iter().copied().map(attestation).collect() }
}

fn checked(change: impl FnOnce(&mut Certificate)) -> Result<(), Bad> {
    let mut certificate = good();
    change(&mut certificate);
    certificate.check_shape()
}

#[test]
fn shapes() {
    assert_eq!(good().check_shape(), Ok(()));
    let seal = Seal::default();
    let (one, two, four) = (life(1, 1), life(2, 1), life(4, 1));
    let cases: [(Result<(), Bad>, Bad); 11] = [
        (checked(|it| it.statement.home.push(four)), Bad::Home { count: 4 }),
        (checked(|it| it.statement.home.clear()), Bad::Home { count: 0 }),
        (checked(|it| it.statement.home[2] = life(1, 2)), Bad::Home { count: 3 }),
        (checked(|it| it.attestations.reverse()), Bad::SignerOrder),
        (checked(|it| it.attestations[1] = attestation(one)), Bad::SignerOrder),
        (checked(|it| it.attestations[1] = attestation(four)), Bad::SignerNotHome { signer: four }),
        (checked(|it| it.attestations.truncate(1)), Bad::NoQuorum { signers: 1, home: 3 }),
        (checked(|it| it.statement.sealed.reverse()), Bad::MemberOrder),
        (checked(|it| it.statement.excluded = vec![four, four]), Bad::MemberOrder),
        (checked(|it| it.statement.excluded = vec![two]), Bad::SealedAndExcluded { life: two }),
        (checked(|it| it.statement.sealed = vec![(four, seal)]), {
            // Excluded as well: found first.
            Bad::SealedAndExcluded { life: four }
        }),
    ];
    for (number, (found, expected)) in cases.into_iter().enumerate() {
        assert_eq!(found, Err(expected), "case {number}");
    }
    let unsealed = checked(|it| it.statement.sealed = vec![(life(5, 1), seal)]);
    assert_eq!(unsealed, Err(Bad::HomeNotSealed));
    let anchor = checked(|it| {
        it.statement.home = vec![one, two];
        it.attestations = vec![attestation(one)];
    });
    assert_eq!(anchor, Ok(()), "of two, rank 0 alone is a quorum");
    let second = checked(|it| {
        it.statement.home = vec![one, two];
        it.attestations = vec![attestation(two)];
    });
    assert_eq!(second, Err(Bad::NoQuorum { signers: 1, home: 2 }));
}

#[test]
fn tallies() {
    for (tasks, ok, failed) in [(3, 1, 1), (0, 1, 0), (0, u64::MAX, 1)] {
        let tally = Tally { tasks, ok, failed, executions: 0 };
        let found = checked(|it| it.statement.tally = tally);
        assert_eq!(found, Err(Bad::Tally { tasks, ok, failed }));
    }
}

#[test]
fn decrees() {
    let decree = Decree { outcome: ok(), tally: Tally::default() };
    assert_eq!(good().check_decree(job(), &decree), Ok(()));
    let other = JobId::derive(life(1, 1), 2);
    assert_eq!(good().check_decree(other, &decree), Err(Bad::OtherJob));
    let tally = Tally { executions: 1, ..Tally::default() };
    let counted = Decree { tally, ..decree.clone() };
    assert_eq!(good().check_decree(job(), &counted), Err(Bad::OtherResult));
    let failed = Decree { outcome: Outcome::failed("no", "not that"), ..decree };
    assert_eq!(good().check_decree(job(), &failed), Err(Bad::OtherResult));
}

/// Every field is signed: no two of these statements share their bytes.
#[test]
fn every_field_is_signed() {
    let base = good().statement;
    let tally = |tasks, ok, failed, executions| Tally { tasks, ok, failed, executions };
    let with = |seal| Statement { sealed: vec![(life(1, 1), seal)], ..base.clone() };
    let seal = Seal::default();
    let all = [
        base.clone(),
        Statement { job: JobId::derive(life(1, 1), 2), ..base.clone() },
        Statement { plan: Digest::of(&[b"other"]), ..base.clone() },
        Statement { result: Digest::of(&[b"other"]), ..base.clone() },
        Statement { tally: tally(1, 0, 0, 0), ..base.clone() },
        Statement { tally: tally(0, 1, 0, 0), ..base.clone() },
        Statement { tally: tally(0, 0, 1, 0), ..base.clone() },
        Statement { tally: tally(0, 0, 0, 1), ..base.clone() },
        Statement { home: vec![life(1, 1)], ..base.clone() },
        Statement { excluded: vec![], ..base.clone() },
        Statement { excluded: vec![life(4, 2)], ..base.clone() },
        with(seal),
        with(Seal { live_before: 1, ..seal }),
        with(Seal { sent: 1, ..seal }),
        with(Seal { accepted: 1, ..seal }),
        with(Seal { finished: 1, ..seal }),
        with(Seal { disturbed: 1, ..seal }),
    ];
    let bytes: std::collections::BTreeSet<_> = all.iter().map(Statement::signed_bytes).collect();
    assert_eq!(bytes.len(), all.len());
    assert!(base.signed_bytes().starts_with(b"formic/complete/1\0"));
}
