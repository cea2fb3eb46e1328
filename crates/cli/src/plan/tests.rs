use std::{collections::BTreeMap, fs, path::PathBuf};

use formic::Adapter;
use serde_json::json;

use super::{CheckedPlan, Source};
use crate::exit::{Exit, Stop};

fn plan(text: &str) -> Result<CheckedPlan, Stop> {
    let source = Source { name: "plan.yaml".to_owned(), text: text.to_owned() };
    CheckedPlan::check(source, &BTreeMap::new())
}

fn bad_plans() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut plans: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    plans.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    plans.sort();
    plans
}

/// Each `tests/plans/NAME.yaml` has its message in `NAME.txt`. `FORMIC_BLESS=1` writes what is there.
#[test]
fn bad_plans_get_their_messages() {
    let plans = bad_plans();
    assert!(plans.len() >= 20);
    for path in plans {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let source = Source { name: name.clone(), text };
        let checked = CheckedPlan::check(source, &BTreeMap::new());
        let stop = checked.and_then(|plan| plan.placed()).unwrap_err();
        let expected = if name == "no-capable-agent.yaml" { Exit::NoPeer } else { Exit::Usage };
        assert_eq!(stop.exit, expected, "{name}");
        let golden = path.with_extension("txt");
        if std::env::var_os("FORMIC_BLESS").is_some() {
            fs::write(&golden, format!("{}\n", stop.message)).unwrap();
        }
        let golden = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(format!("{}\n", stop.message), golden, "{name}");
    }
}

#[test]
fn a_good_plan_is_read_whole() {
    let checked = plan(
        r#"
version: 1
inputs:
  dir: {default: ".", help: where}
  depth: {default: 3}
agents:
  hasher: {adapter: jsonl, command: [formic, example, treehash], capabilities: [hash, fs], slots: 2}
  tests:  {adapter: command, capabilities: [test]}
tasks:
  tree:
    requires: [hash]
    payload: {path: "${{ inputs.dir }}/x", depth: "${{inputs.depth}}", exact: [1, 2.5, true, null]}
  check:
    needs: [tree]
    requires: [test]
    run: test "$A" = "$B"
    env: {A: "${{tasks.tree.value}}", B: "${{ inputs.dir }}"}
    outputs: {report: out/report.txt}
    retry: {max: 2, on: [failed, peer-lost]}
    exclusive: false
    budget: {wall: 1h30m}
  last: {needs: [check], run: "echo done"}
"#,
    )
    .unwrap();
    assert!(checked.placed().is_ok());
    let [tree, check, last] = &checked.plan.tasks[..] else { panic!("{:?}", checked.plan) };
    let payload = json!({"path": "./x", "depth": "3", "exact": [1, 2.5, true, null]});
    assert_eq!(tree.payload, payload);
    assert_eq!(tree.agent.as_ref().map(|agent| agent.name.as_str()), Some("hasher"));
    assert_eq!(tree.agent.as_ref().map(|agent| agent.slots), Some(2));
    assert_eq!(check.needs, ["tree"]);
    assert_eq!(check.env["A"], "${{ tasks.tree.value }}");
    assert_eq!((check.retries, check.wall.unwrap().as_secs()), (2, 5_400));
    assert_eq!(check.outputs["report"], "out/report.txt");
    // `run` needs a command agent, whatever comes first in the plan.
    assert_eq!(last.agent.as_ref().map(|agent| agent.adapter), Some(Adapter::Command));
    assert_eq!(checked.inputs["depth"], "3");
}

#[test]
fn a_plan_of_shell_commands_needs_no_agents() {
    let checked = plan("version: 1\ntasks:\n  hello: {run: echo hello}\n").unwrap();
    assert!(checked.placed().is_ok());
    assert_eq!(
        checked.plan.tasks[0].agent.as_ref().map(|agent| agent.adapter),
        Some(Adapter::Command)
    );
}

#[test]
fn work_of_lost_peers_is_not_counted_as_retry() {
    let text = "version: 1\ntasks:\n  a: {run: x, retry: {max: 3, on: [peer-lost]}}\n";
    assert_eq!(plan(text).unwrap().plan.tasks[0].retries, 0);
}

#[test]
fn an_input_cannot_smuggle_a_reference() {
    let source = Source {
        name: "p".to_owned(),
        text: "version: 1\ninputs: {a: {default: x}}\ntasks:\n  t: {run: x}\n".to_owned(),
    };
    let given = [("a".to_owned(), "${{ tasks.t.value }}".to_owned())].into();
    assert_eq!(CheckedPlan::check(source, &given).unwrap_err().exit, Exit::Usage);
}

#[test]
fn unknown_inputs_are_refused_with_the_nearest() {
    let source = Source {
        name: "p".to_owned(),
        text: "version: 1\ninputs: {dir: {default: x}}\ntasks:\n  t: {run: x}\n".to_owned(),
    };
    let given = [("dri".to_owned(), "y".to_owned())].into();
    let stop = CheckedPlan::check(source, &given).unwrap_err();
    assert!(stop.message.contains("did you mean `dir`?"), "{}", stop.message);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// Whatever is cut out of a plan or put into it: a plan or a message, never a panic.
    #[test]
    fn damaged_plans_are_told_or_read(at in 0usize..400, length in 0usize..20, put in ".{0,6}") {
        let mut text = include_str!("../../tests/plans/not-yet.yaml").to_owned();
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap();
        let range = floor(at)..floor(at + length);
        text.replace_range(range, &put);
        if let Err(stop) = plan(&text) {
            assert!(stop.message.starts_with("plan.yaml:"), "{}", stop.message);
        }
    }
}
