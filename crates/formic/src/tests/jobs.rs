//! Jobs from submission to verdict.

use serde_json::json;

use super::harness::{World, plan, result, watchdog};

#[tokio::test]
async fn one_peer_does_a_job() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(1, 2).await;
        let job = mesh.submit(&plan("echo", json!({"a": [1]}))).await.unwrap();
        let verdict = job.wait().await.unwrap();
        assert_eq!(result(&verdict).value("echo"), Some(&json!({"a": [1]})));
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
        mesh.leave().await;
    })
    .await;
}
