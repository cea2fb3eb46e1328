//! Results that are judged by voters, whole peers over memory.

use core::time::Duration;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};

use super::harness::{World, result, watchdog};
use crate::{
    Agent, AgentError, Description, Done, LogEvent, Mesh, Plan, PlannedTask, Task, TaskContext,
    Threshold, Validation, agent_fn,
};

/// Works and judges. A judge says what `says` gives for its peer's name.
fn judge(
    says: fn(&str, &Value) -> Result<Value, AgentError>,
    works: &Arc<AtomicU32>,
) -> impl Agent {
    let works = Arc::clone(works);
    let can = ["test", "validate"].map(|name| name.parse().unwrap()).to_vec();
    let body = move |task: Task, context: TaskContext| {
        let works = Arc::clone(&works);
        async move {
            if task.kind == "validate" {
                return says(context.peer_name(), &task.payload).map(Done::from);
            }
            Ok(Done::from(json!(works.fetch_add(1, Ordering::Relaxed))))
        }
    };
    agent_fn(Description::new("judge", can).slots(2), body)
}

async fn mesh(
    world: &World,
    count: usize,
    says: fn(&str, &Value) -> Result<Value, AgentError>,
) -> (Mesh, Arc<AtomicU32>) {
    let (mut mesh, works) = (Mesh::new(), Arc::new(AtomicU32::new(0)));
    for _ in 0..count {
        mesh.add(world.peer().agent(judge(says, &works))).await.unwrap();
    }
    (mesh, works)
}

fn plan(threshold: Threshold, retries: u32) -> Plan {
    let validation = Validation {
        threshold,
        deadline: Duration::from_secs(30),
        floors: [("tests".to_owned(), 800), ("quality".to_owned(), 800)].into(),
        retries,
        ..Validation::default()
    };
    let mut work = PlannedTask::new("work", json!(null));
    work.requires = vec!["test".parse().unwrap()];
    work.validate = Some(validation);
    let mut after = PlannedTask::new("after", json!("${{ tasks.work.value }}"));
    after.requires = vec!["test".parse().unwrap()];
    after.needs = vec!["work".to_owned()];
    Plan::of(vec![work, after])
}

#[tokio::test]
async fn one_liar_changes_nothing_and_its_ballot_is_shown() {
    watchdog(async {
        let world = World::new();
        let says = |peer: &str, _: &Value| match peer {
            "p2" => Ok(json!({"approve": false, "tests": 0, "quality": 0})),
            _ => Ok(json!({"tests": 0.93, "quality": 0.9})),
        };
        let (mesh, _) = mesh(&world, 5, says).await;
        let job = mesh.submit(&plan(Threshold::Quorum, 0)).await.unwrap();
        let verdict = job.wait().await.unwrap();
        let result = result(&verdict);
        assert!(result.is_ok(), "{result:?}");
        let lines = world.log.lines();
        let made = lines.iter().find_map(|line| match &line.event {
            LogEvent::DecisionMade { outcome, ballots, electorate, proof, .. } => {
                Some((outcome.clone(), ballots.clone(), electorate.clone(), proof.clone()))
            }
            _ => None,
        });
        let (outcome, ballots, _, proof) = made.expect("a decision is written down");
        assert_eq!(outcome, "approved");
        assert!(ballots.len() >= 3 && !proof.is_empty(), "{ballots:?}");
        let asked = lines.iter().any(|it| matches!(it.event, LogEvent::DecisionAsked { .. }));
        assert!(asked);
    })
    .await;
}

/// The first result is bad.
fn says_no_to_the_first(_: &str, shown: &Value) -> Result<Value, AgentError> {
    let score = if shown["value"] == json!(0) { 0.5 } else { 0.9 };
    Ok(json!({"tests": score, "quality": 0.9}))
}

#[tokio::test]
async fn a_rejected_result_is_made_again_and_nothing_starts_before_it_is_approved() {
    watchdog(async {
        let world = World::new();
        let (mesh, works) = mesh(&world, 4, says_no_to_the_first).await;
        let job = mesh.submit(&plan(Threshold::Quorum, 1)).await.unwrap();
        let result = result(&job.wait().await.unwrap());
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(result.value("work"), Some(&json!(1)), "the second try's");
        assert_eq!(works.load(Ordering::Relaxed), 3, "two tries, and what needs the second");
    })
    .await;
}

#[tokio::test]
async fn a_rejection_says_which_floor_and_fails_what_needs_it() {
    watchdog(async {
        let world = World::new();
        let says = |_: &str, _: &Value| Ok(json!({"tests": 0.9, "quality": 0.62}));
        let (mesh, works) = mesh(&world, 4, says).await;
        let job = mesh.submit(&plan(Threshold::Quorum, 0)).await.unwrap();
        let result = result(&job.wait().await.unwrap());
        let error = result.tasks["work"].error.clone().unwrap();
        assert!(error.contains("rejected by ballots: quality 620 < 800"), "{error}");
        assert_eq!(result.tasks["after"].outcome, "cancelled");
        assert_eq!(works.load(Ordering::Relaxed), 1);
    })
    .await;
}

#[tokio::test]
async fn judges_that_cannot_judge_reject_and_say_why() {
    watchdog(async {
        let world = World::new();
        let says = |peer: &str, _: &Value| match peer {
            "p0" | "p1" => Ok(json!({"tests": 93})),
            _ => Err(AgentError::failed("broken", "as told")),
        };
        let (mesh, _) = mesh(&world, 4, says).await;
        let job = mesh.submit(&plan(Threshold::Quorum, 0)).await.unwrap();
        let result = result(&job.wait().await.unwrap());
        assert!(!result.is_ok(), "{result:?}");
        let lines = world.log.lines();
        let said = |wanted: &str| {
            let is = |event: &LogEvent| match event {
                LogEvent::TaskLog { message, .. } => message.contains(wanted),
                _ => false,
            };
            lines.iter().any(|line| is(&line.event))
        };
        assert!(said("expected a score from 0 to 1, found 93") || said("broken: as told"));
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_nobody_but_its_author_could_judge_is_refused() {
    watchdog(async {
        let world = World::new();
        let (mesh, _) = mesh(&world, 1, |_, _| Ok(json!(null))).await;
        let refused = mesh.submit(&plan(Threshold::Quorum, 0)).await.unwrap_err();
        assert!(refused.to_string().contains("nobody judges his own work"), "{refused}");
    })
    .await;
}

#[test]
fn a_threshold_that_means_unanimity_is_said_in_words() {
    let validation = Validation::default();
    let said = validation.warning(7).expect("5.4 of 6 is all 6");
    assert!(said.contains("all 6 must approve; set threshold: quorum (4 of 6)"), "{said}");
    assert_eq!(validation.warning(12), None, "one of 11 may be absent");
    let quorum = Validation { threshold: Threshold::Quorum, ..Validation::default() };
    assert_eq!(quorum.warning(7), None);
    for (validation, voters, word) in
        [(&quorum, 3, "3 voters tolerate no liar"), (&validation, 2, "a single judge decides")]
    {
        let said = validation.warning(voters).unwrap();
        assert!(said.contains(word), "{said}");
    }
}
