//! What a plan may look like, and what its references become.

use formic_core::{Outcome, Output, OutputFile};
use serde_json::{Value, json};

use crate::{
    ChildSpec, Digest, Plan, PlanError, PlanResult, PlannedTask,
    plan::{
        RESULT_MAX, TaskResult,
        reference::{Missing, Results, substitute},
    },
};

fn task(name: &str, needs: &[&str], payload: Value) -> PlannedTask {
    let needs = needs.iter().map(ToString::to_string).collect();
    PlannedTask { needs, ..PlannedTask::new(name, payload) }
}

fn check(tasks: Vec<PlannedTask>) -> Result<(), PlanError> {
    Plan::of(tasks).check()
}

#[test]
fn a_bad_plan_is_refused_with_what_is_wrong() {
    assert_eq!(check(vec![]), Err(PlanError::Empty));
    let twice = vec![task("a", &[], json!(1)), task("a", &[], json!(2))];
    assert_eq!(check(twice), Err(PlanError::Duplicate { name: "a".into() }));
    let unknown = vec![task("a", &["b"], json!(1))];
    let expected = PlanError::UnknownNeed { task: "a".into(), need: "b".into() };
    assert_eq!(check(unknown), Err(expected));
    let cycle = ["x", "a", "b", "c"].into_iter().zip([["a"], ["b"], ["c"], ["a"]]);
    let cycle = cycle.map(|(name, needs)| task(name, &needs, Value::Null)).collect();
    let Err(PlanError::Cycle { path }) = check(cycle) else { panic!("a cycle passed") };
    assert_eq!(path.first(), path.last());
    assert_eq!(path.len(), 4);
}

#[test]
fn references_are_checked_before_anything_starts() {
    let with = |payload: Value, needs: &[&str]| {
        let mut first = task("a", &[], Value::Null);
        first.outputs.insert("report".into(), "report.txt".into());
        check(vec![first, task("b", needs, payload)])
    };
    assert_eq!(with(json!({"x": ["${{ tasks.a.value }}"]}), &["a"]), Ok(()));
    assert_eq!(with(json!("${{tasks.a.outputs.report}}"), &["a"]), Ok(()));
    let expected = PlanError::NotNeeded { task: "b".into(), other: "a".into() };
    assert_eq!(with(json!("${{ tasks.a.value }}"), &[]), Err(expected));
    let expected = PlanError::BadReference { task: "b".into(), found: "tasks.a.vlaue".into() };
    assert_eq!(with(json!("${{ tasks.a.vlaue }}"), &["a"]), Err(expected));
    let expected = PlanError::UnclosedReference { task: "b".into() };
    assert_eq!(with(json!("${{ tasks.a.value"), &["a"]), Err(expected));
    let (other, file) = ("a".into(), "log".into());
    let expected = PlanError::UnknownOutput { task: "b".into(), other, file };
    assert_eq!(with(json!("${{ tasks.a.outputs.log }}"), &["a"]), Err(expected));
    let mut run = task("a", &[], Value::Null);
    run.run = Some("echo ${{ tasks.b.value }}".into());
    assert_eq!(check(vec![run]), Err(PlanError::ReferenceInRun { task: "a".into() }));
}

#[test]
fn a_plan_whose_result_could_not_be_told_is_refused() {
    let many = |count| (0..count).map(|n| task(&format!("task-{n}"), &[], Value::Null)).collect();
    assert_eq!(check(many(1_000)), Ok(()));
    assert!(matches!(check(many(2_000)), Err(PlanError::TooManyTasks { tasks: 2_000, .. })));
}

#[test]
fn a_single_reference_keeps_its_type_and_text_is_joined() {
    let output = Output {
        value: br#"{"n":[1,2]}"#.to_vec(),
        files: vec![OutputFile {
            name: "report".into(),
            path: "/srv/report.txt".into(),
            size: 1,
            digest: Digest::of(&[b"r"]),
        }],
    };
    let text = Output { value: br#""plain""#.to_vec(), files: vec![] };
    let results = Results::from([("a", &output), ("t", &text)]);
    let replaced = |value| substitute(&value, &results);
    assert_eq!(replaced(json!(["${{ tasks.a.value }}"])), Ok(json!([{"n": [1, 2]}])));
    let long =
        json!({"k": "see ${{ tasks.a.outputs.report }}, ${{ tasks.t.value }} ${{tasks.a.value}}"});
    let expected = json!({"k": r#"see /srv/report.txt, plain {"n":[1,2]}"#});
    assert_eq!(replaced(long), Ok(expected));
    assert_eq!(replaced(json!("no reference: $ { }")), Ok(json!("no reference: $ { }")));
    let missing = Missing("task a has no output log".into());
    assert_eq!(replaced(json!("${{ tasks.a.outputs.log }}")), Err(missing));
}

#[test]
fn a_large_result_keeps_every_outcome() {
    let value = Value::String("v".repeat(4_000));
    let output = Output { value: value.to_string().into_bytes(), files: vec![] };
    let result = |count: usize| {
        let tasks =
            (0..count).map(|n| (format!("task-{n}"), TaskResult::of(&Outcome::Ok(output.clone()))));
        PlanResult { tasks: tasks.collect() }.into_value()
    };
    for (count, kept) in [(2, "value"), (100, "digest"), (1_000, "outcome")] {
        let told = result(count);
        assert!(told.to_string().len() <= RESULT_MAX, "{count} tasks");
        assert_eq!(told.as_object().map(serde_json::Map::len), Some(count));
        assert!(told["task-1"].get(kept).is_some(), "{count} tasks: {}", told["task-1"]);
        let outcome = Outcome::Ok(Output { value: told.to_string().into_bytes(), files: vec![] });
        assert!(PlanResult::of(&outcome).unwrap().is_ok());
    }
}

#[test]
fn equal_plans_have_equal_digests() {
    let plan = |payload| Plan::single(ChildSpec::new("kind", payload));
    assert_eq!(plan(json!(1)).digest(), plan(json!(1)).digest());
    assert_ne!(plan(json!(1)).digest(), plan(json!(2)).digest());
}
