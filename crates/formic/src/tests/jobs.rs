//! Jobs from submission to verdict.

use core::time::Duration;

use serde_json::json;

use super::harness::{World, child, plan, result, watchdog};
use crate::{LogEvent, Outcome, Plan, PlannedTask};

#[tokio::test]
async fn one_peer_does_a_job_and_proves_it() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(1, 2).await;
        let plan = plan("echo", json!({"a": [1]}));
        let verdict = mesh.submit(&plan).await.unwrap().wait().await.unwrap();
        assert_eq!(result(&verdict).value("echo"), Some(&json!({"a": [1]})));
        assert_eq!(verdict.certificate.statement.plan, plan.digest());
        formic_node::verify_certificate(&verdict.certificate).unwrap();
    })
    .await;
}

#[tokio::test]
async fn four_peers_do_a_nested_job() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(4, 2).await;
        let job = mesh.submit(&plan("sum", json!([4, 3, 1]))).await.unwrap();
        let verdict = job.wait().await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(81)));
        assert_eq!(verdict.decree.tally.tasks, 1 + 3 + 9 + 27 + 81);
        let mut workers: Vec<String> = (world.log.lines().into_iter())
            .filter(|line| matches!(line.event, LogEvent::TaskStarted { .. }))
            .map(|line| line.peer)
            .collect();
        workers.sort();
        workers.dedup();
        assert!(workers.len() > 1, "one peer did everything");
    })
    .await;
}

#[tokio::test]
async fn a_chain_of_tails_is_one_job() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(3, 1).await;
        let job = mesh.submit(&plan("tails", json!(30))).await.unwrap();
        let verdict = job.wait().await.unwrap();
        assert_eq!(verdict.decree.tally.tasks, 31);
        assert_eq!(verdict.decree.tally.ok, 31);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_waits_gives_its_slot_back() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(1, 1).await;
        let job = mesh.submit(&plan("sum", json!([20, 1]))).await.unwrap();
        let verdict = job.wait().await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(1)));
    })
    .await;
}

#[tokio::test]
async fn bodies_that_go_wrong_fail_their_task_only() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(2, 4).await;
        let task = |name: &str, kind: &str| {
            let spec = child(kind, json!(null)).name(name);
            Plan::single(spec).tasks.remove(0)
        };
        let mut hang = task("hang", "hang");
        hang.wall = Some(Duration::from_millis(50));
        let mut after = task("after", "echo");
        after.needs = vec!["panic".into()];
        let mut last = task("last", "echo");
        last.needs = vec!["after".into()];
        let tasks = vec![task("fail", "fail"), task("panic", "panic"), hang, after, last];
        let tasks = [tasks, vec![task("large", "large"), task("fine", "echo")]].concat();
        let verdict = mesh.submit(&Plan::of(tasks)).await.unwrap().wait().await.unwrap();
        let result = result(&verdict);
        let told = |name: &str| {
            let task = &result.tasks[name];
            (task.outcome.clone(), task.error.clone().unwrap_or_default())
        };
        assert_eq!(told("fail"), ("failed".into(), "broken: as told".into()));
        assert_eq!(told("panic"), ("failed".into(), "panicked: as told".into()));
        assert_eq!(told("hang").0, "expired");
        assert!(told("hang").1.contains("50ms"), "{:?}", told("hang"));
        assert_eq!(told("after"), ("cancelled".into(), "needs panic, which failed".into()));
        assert_eq!(told("last"), ("cancelled".into(), "needs after, which was cancelled".into()));
        assert!(told("large").1.starts_with("value-too-large"), "{:?}", told("large"));
        assert_eq!(told("fine").0, "ok");
        assert!(!result.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_task_without_an_agent_fails_and_says_what_is_missing() {
    watchdog(async {
        let world = World::new();
        let mut mesh = crate::Mesh::new();
        mesh.add(world.peer().capabilities(["test".parse().unwrap()])).await.unwrap();
        let verdict = mesh.submit(&plan("echo", json!(1))).await.unwrap().wait().await.unwrap();
        let error = result(&verdict).tasks["echo"].error.clone().unwrap();
        assert!(error.starts_with("no-agent: peer p0 has no agent for [test]"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn needs_run_in_order_and_hand_over_their_values() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(3, 1).await;
        let task = |name: &str, needs: &[&str], payload| PlannedTask {
            kind: Some("echo".into()),
            needs: needs.iter().map(ToString::to_string).collect(),
            requires: vec!["test".parse().unwrap()],
            ..PlannedTask::new(name, payload)
        };
        let tasks = vec![
            task(
                "last",
                &["left", "right"],
                json!(["${{ tasks.left.value }}", "${{ tasks.right.value }}"]),
            ),
            task("left", &["first"], json!({"l": "${{ tasks.first.value }}"})),
            task("right", &["first"], json!("r ${{ tasks.first.value }}")),
            task("first", &[], json!([1, "x"])),
        ];
        let verdict = mesh.submit(&Plan::of(tasks)).await.unwrap().wait().await.unwrap();
        let expected = json!([{"l": [1, "x"]}, "r [1,\"x\"]"]);
        assert_eq!(result(&verdict).value("last"), Some(&expected));
    })
    .await;
}

#[tokio::test]
async fn a_failed_task_is_tried_again_as_often_as_the_plan_says() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(2, 1).await;
        let mut plan = plan("fail", json!(null));
        plan.tasks[0].retries = 2;
        let verdict = mesh.submit(&plan).await.unwrap().wait().await.unwrap();
        assert_eq!(result(&verdict).tasks["fail"].outcome, "failed");
        assert_eq!(verdict.decree.tally.tasks, 3);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_job_ends_cancelled() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(3, 1).await;
        let job = mesh.submit(&plan("hang", json!(null))).await.unwrap();
        job.cancel("enough").await.unwrap();
        let verdict = job.wait().await.unwrap();
        assert!(matches!(&verdict.decree.outcome, Outcome::Cancelled { .. }), "{verdict:?}");
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_is_none_is_refused_before_it_is_sent() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(1, 1).await;
        let refused = mesh.submit(&Plan::of(vec![])).await;
        assert!(matches!(refused, Err(crate::Error::Plan(crate::PlanError::Empty))), "{refused:?}");
        let huge = plan("echo", json!("x".repeat(300_000)));
        let refused = mesh.submit(&huge).await;
        assert!(matches!(refused, Err(crate::Error::Plan(crate::PlanError::TooLarge { .. }))));
    })
    .await;
}
