use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::harness::{electorate, peer, proposal};
use crate::{
    BadProposal, Ballot, Deed, NOT_JUDGED, Outcome, Rank, Reason, Rejection, Standing, Verdict,
    outcome,
};

fn ballots(verdicts: &[Option<(bool, u16)>]) -> BTreeMap<Rank, Ballot> {
    let ballot = |(rank, cast): (usize, &Option<(bool, u16)>)| {
        let (yes, score) = (*cast)?;
        let verdict = if yes { Verdict::Approve } else { Verdict::Reject(Reason::Wrong) };
        let comment = formic_core::Digest::from_bytes([0; 32]);
        Some((Rank(u16::try_from(rank).ok()?), Ballot { verdict, scores: [score; 5], comment }))
    };
    verdicts.iter().enumerate().filter_map(ballot).collect()
}

const YES: Option<(bool, u16)> = Some((true, 900));
const NO: Option<(bool, u16)> = Some((false, 900));

#[test]
fn nine_of_ten_approve_eight_do_not() {
    let asked = proposal(1);
    let says = |cast: &[Option<(bool, u16)>], void: &[u16]| {
        let void = void.iter().map(|rank| Rank(*rank)).collect();
        outcome(&ballots(cast), &void, &asked, &electorate(10))
    };
    let mut cast = [YES; 10];
    assert_eq!(says(&cast[..9], &[]), Some(Outcome::Approved), "exactly at the threshold");
    assert_eq!(says(&cast[..8], &[]), None, "the base is the electorate, not the votes cast");
    cast[9] = NO;
    assert_eq!(says(&cast, &[]), Some(Outcome::Approved));
    cast[8] = NO;
    assert_eq!(says(&cast, &[]), Some(Outcome::Rejected(Rejection::Dissent)));
    assert_eq!(says(&cast[9..], &[]), None, "one no alone settles nothing");
    assert_eq!(says(&[YES; 10], &[0, 1]), Some(Outcome::Rejected(Rejection::Void)));
    assert_eq!(says(&[YES; 10], &[0]), Some(Outcome::Approved));
    assert_eq!(says(&[], &[]), None);
}

#[test]
fn a_median_below_its_floor_rejects_and_liars_below_half_do_not_move_it() {
    let mut asked = proposal(1);
    asked.policy.floors = [0, 0, 800, 0, 0];
    let says = |cast: &[Option<(bool, u16)>]| {
        outcome(&ballots(cast), &BTreeSet::new(), &asked, &electorate(4))
    };
    let (high, low) = (Some((true, 800)), Some((true, 799)));
    let floor = Some(Outcome::Rejected(Rejection::Floor(2)));
    assert_eq!(says(&[high, high, high, low]), Some(Outcome::Approved));
    assert_eq!(says(&[high, high, low, low]), floor, "the lower median");
    assert_eq!(says(&[Some((true, NOT_JUDGED)); 4]), floor);
    assert_eq!(says(&[high, high]), None, "a missing ballot is 0, and may still come");
}

#[test]
fn nobody_judges_his_own_work() {
    let mut asked = proposal(1);
    asked.author = Some(peer(0));
    let says = |cast| outcome(&ballots(cast), &BTreeSet::new(), &asked, &electorate(4));
    assert_eq!(says(&[NO, YES, YES, YES]), Some(Outcome::Approved));
    assert_eq!(says(&[YES, YES, YES]), None);
    assert_eq!(asked.check(&electorate(1)), Err(BadProposal::NoJudge));
}

#[test]
fn bad_policies_are_named() {
    let four = electorate(4);
    let mut asked = proposal(1);
    asked.policy.threshold = 500;
    assert_eq!(asked.check(&four), Err(BadProposal::Threshold { found: 500, min: 501 }));
    asked.policy.threshold = 1_000;
    asked.policy.deadline_ms = 99;
    assert_eq!(asked.check(&four), Err(BadProposal::Deadline { found_ms: 99 }));
    asked.policy.deadline_ms = 100;
    asked.policy.floors[4] = 1_001;
    assert_eq!(asked.check(&four), Err(BadProposal::Floor { dimension: 4, found: 1_001 }));
}

#[test]
fn ten_clean_decisions_double_the_weight_and_a_lie_costs_more_than_they_gave() {
    let mut standing = Standing::default();
    assert_eq!((standing.weight(), standing.permille()), (100, 500));
    for _ in 0..10 {
        standing = standing.after(Deed::Voted);
    }
    assert_eq!((standing.weight(), standing.permille()), (200, 900));
    assert_eq!(standing.after(Deed::Lied).weight(), 100);
    for _ in 0..1_000 {
        standing = standing.after(Deed::Voted);
    }
    assert_eq!(standing.permille(), 954, "the ceiling");
    let mut liar = standing.after(Deed::Lied);
    assert!((480..=500).contains(&liar.permille()), "{}", liar.permille());
    let clean = (1..).find(|_| {
        liar = liar.after(Deed::Voted);
        liar.permille() >= 900
    });
    assert!((45..=60).contains(&clean.unwrap()), "{clean:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What a set of ballots settles, more ballots do not unsettle.
    #[test]
    fn more_ballots_never_change_a_settled_outcome(
        cast in proptest::collection::vec((0u8..3, 0u16..1_001), 1..12),
        threshold in 501u16..1_001, floor in 0u16..1_001, seed: u64,
    ) {
        let all: Vec<_> =
            cast.iter().map(|(kind, score)| (*kind > 0).then_some((*kind == 1, *score))).collect();
        let mut asked = proposal(1);
        asked.policy.threshold = threshold;
        asked.policy.floors = [floor, 0, 0, 0, 0];
        let four = electorate(all.len());
        let some: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(at, cast)| if seed >> at & 1 == 1 { *cast } else { None })
            .collect();
        let none = BTreeSet::new();
        let early = outcome(&ballots(&some), &none, &asked, &four);
        let late = outcome(&ballots(&all), &none, &asked, &four);
        let side = |one: Outcome| one == Outcome::Approved;
        if let Some(early) = early {
            prop_assert_eq!(late.map(side), Some(side(early)));
        }
    }
}
