use std::fs;

use formic_sim::node;

use crate::{Failure, Options, Profile, Sum, commands, run::missed, sim};

#[test]
fn a_campaign_that_misses_a_mark_fails_if_it_is_large() {
    let mut options = Options::new(Profile::Node);
    let nothing = Sum::Node(Box::<node::Report>::default());
    options.seeds = 9_999;
    assert!(missed(&options, &nothing).is_empty());
    options.seeds = 10_000;
    assert!(!missed(&options, &nothing).is_empty());
    options.kinds = node::Kinds::parse("none").unwrap();
    assert!(missed(&options, &nothing).is_empty(), "without faults nobody gets there");
}

#[test]
fn words_that_mean_nothing_are_named() {
    for words in [
        &["--seeds"][..],
        &["--seeds", "many"],
        &["--faults", "rain"],
        &["completion", "--faults", "none"],
        &["--first", "18446744073709551615"],
        &["replay"],
        &["replay", "1", "--trace", "loud"],
        &["replay", "1", "--until", "-1"],
        &["shrink", "1", "--runs"],
        &["walk"],
    ] {
        assert!(matches!(sim(words), Err(Failure::Usage { .. })), "{words:?}");
    }
    assert!(matches!(sim(&["replay", "no/such.plan"]), Err(Failure::File { .. })));
}

#[test]
fn a_schedule_that_is_no_plan_is_named_with_its_line() {
    let folder = std::env::temp_dir().join(format!("formic-schedules-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.plan"), "seed 1\nat noon: crash(0)\n").unwrap();
    let error = commands::schedules(&folder).unwrap_err().to_string();
    fs::remove_dir_all(&folder).unwrap();
    assert!(error.contains("a.plan: line 2: expected seconds"), "{error}");
}
