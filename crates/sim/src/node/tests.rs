use super::*;

#[test]
fn plans_are_texts() {
    for seed in 0..300 {
        let plan = Plan::of(seed, &Kinds::all());
        let again: Plan = plan.to_string().parse().unwrap();
        assert_eq!(plan, again, "seed {seed}");
    }
}

/// Fourteen seeds of every scenario; campaigns of more: `cargo xtask sim shrinking`.
#[test]
fn scenarios_hold() {
    for scenario in Scenario::ALL {
        for seed in 1..=14 {
            let report = scenario.run(seed).unwrap();
            assert!(report.respawns > 0, "{scenario:?} {seed} breaks nothing");
        }
    }
}

/// What a scenario promises is looked at: a home group that dies at once is noticed.
#[test]
fn a_job_that_is_lost_is_counted() {
    let mut plan = Scenario::Shrinking.plan(1);
    let all = (0..10).collect();
    plan.faults = vec![Strike {
        when: When::Mark(crate::Mark::Accepted, Duration::from_millis(500)),
        fault: Fault::CrashAll { peers: all, back: None },
    }];
    let report = run(&plan).unwrap();
    assert!(report.lost_homes > 0);
}
