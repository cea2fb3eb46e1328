use std::collections::{BTreeMap, BTreeSet};

use formic_core::Random;
use proptest::prelude::*;

use crate::{Ended, Needs, NeedsError};

type Plan = Vec<(String, Vec<String>)>;

fn plan(edges: &[(&str, &[&str])]) -> Plan {
    let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    edges.iter().map(|(name, needs)| ((*name).to_owned(), strings(needs))).collect()
}

#[test]
fn bad_plans_are_refused_by_name() {
    let twice = Needs::new(&plan(&[("a", &[]), ("a", &[])]));
    assert_eq!(twice, Err(NeedsError::Duplicate { name: "a".into() }));
    let unknown = Needs::new(&plan(&[("a", &["b"])]));
    assert_eq!(unknown, Err(NeedsError::Unknown { task: "a".into(), need: "b".into() }));
    let own = Needs::new(&plan(&[("a", &["a"])])).unwrap_err();
    assert_eq!(own.to_string(), "tasks need each other: a -> a");
    let long: &[(&str, &[&str])] = &[
        ("start", &["a"]),
        ("a", &["b"]),
        ("b", &["c"]),
        ("c", &["a", "report"]),
        ("report", &["check"]),
        ("check", &["report"]),
        ("free", &[]),
    ];
    let Err(NeedsError::Cycle { path }) = Needs::new(&plan(long)) else { panic!("no cycle") };
    assert_eq!(path, ["report", "check", "report"], "the shortest one, in the direction of needs");
}

#[test]
fn an_end_that_cannot_be_is_refused() {
    let mut needs = Needs::new(&plan(&[("a", &[]), ("b", &["a"])])).unwrap();
    let before = needs.clone();
    for name in ["b", "c"] {
        let refused = needs.done(name, Ended::Well);
        assert_eq!(refused, Err(NeedsError::NotReady { name: name.into() }));
    }
    assert_eq!(needs, before);
    needs.done("a", Ended::Well).unwrap();
    assert!(needs.done("a", Ended::Well).is_err(), "nothing ends twice");
}

#[test]
fn a_plan_of_100_000_tasks_is_checked() {
    let name = |n: usize| format!("t{n}");
    let needs = |n: usize| (1..=5).filter(|d| n >= *d).map(|d| name(n - d)).collect();
    let plan: Plan = (0..100_000).map(|n| (name(n), needs(n))).collect();
    assert_eq!(Needs::new(&plan).unwrap().ready(), ["t0"]);
    let mut plan = plan;
    plan[0].1.push(name(99_999));
    let Err(NeedsError::Cycle { path }) = Needs::new(
        &plan[..50_000]
            .iter()
            .cloned()
            .chain([("t99999".into(), vec![name(49_999)])])
            .collect::<Plan>(),
    ) else {
        panic!("no cycle")
    };
    assert_eq!(path.first(), path.last());
}

fn graph() -> impl Strategy<Value = Plan> {
    proptest::collection::vec(proptest::collection::vec(0_usize..12, 0..3), 1..12).prop_map(
        |rows| {
            let count = rows.len();
            let needs = |row: Vec<usize>| row.iter().map(|n| format!("t{}", n % count)).collect();
            rows.into_iter().enumerate().map(|(n, row)| (format!("t{n}"), needs(row))).collect()
        },
    )
}

fn word(name: &String, bad: &BTreeSet<String>) -> &'static str {
    if bad.contains(name) { "badly" } else { "well" }
}

/// Runs a plan by reading all of it at every step; `None` if some task can never start.
fn naive(plan: &Plan, bad: &BTreeSet<String>) -> Option<BTreeMap<String, &'static str>> {
    let mut over: BTreeMap<String, &'static str> = BTreeMap::new();
    while over.len() < plan.len() {
        let before = over.len();
        for (name, needs) in plan {
            let ended: Option<Vec<_>> = needs.iter().map(|need| over.get(need).copied()).collect();
            let any_bad = needs.iter().any(|need| over.get(need).is_some_and(|end| *end != "well"));
            if over.contains_key(name) {
                continue;
            } else if any_bad {
                over.insert(name.clone(), "cancelled");
            } else if ended.is_some() {
                over.insert(name.clone(), word(name, bad));
            }
        }
        if over.len() == before {
            return None;
        }
    }
    Some(over)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn it_runs_as_a_naive_reading_says(plan in graph(), bad: u16, seed: u64) {
        let bad: BTreeSet<String> =
            (0..12).filter(|n| bad >> n & 3 == 3).map(|n| format!("t{n}")).collect();
        let all_well = naive(&plan, &BTreeSet::new());
        let mut needs = match Needs::new(&plan) {
            Ok(needs) => needs,
            Err(NeedsError::Cycle { path }) => {
                prop_assert!(all_well.is_none());
                prop_assert!(path.len() > 1 && path.first() == path.last());
                let needs: BTreeMap<_, _> = plan.iter().cloned().collect();
                prop_assert!(path.windows(2).all(|pair| needs[&pair[0]].contains(&pair[1])));
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        let expected = naive(&plan, &bad).expect("a plan without cycles ends");
        let mut random = Random::new(seed);
        let mut over: BTreeMap<String, &'static str> = BTreeMap::new();
        while let Some(name) = random.pick(&needs.ready()).map(|&name| name.to_owned()) {
            let (ended, word) =
                if bad.contains(&name) { (Ended::Badly, "badly") } else { (Ended::Well, "well") };
            let step = needs.done(&name, ended).unwrap();
            over.insert(name, word);
            for (cancelled, need) in step.cancelled {
                prop_assert_ne!(over[&need], "well");
                over.insert(cancelled, "cancelled");
            }
        }
        prop_assert!(needs.is_over());
        prop_assert_eq!(over, expected);
    }
}
