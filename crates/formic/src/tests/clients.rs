//! Clients that are no members.

use serde_json::json;

use super::harness::{World, plan, result, tester, watchdog};
use crate::{ClientError, Stopped};

#[tokio::test]
async fn a_client_submits_waits_and_asks() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(3, 1).await;
        let client = world.client(mesh.peers());
        let job = client.submit(&plan("sum", json!([2, 3]))).await.unwrap();
        assert_eq!(job.home.len(), 3);
        let verdict = client.wait(&job).await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(9)));
        formic_node::verify_certificate(&verdict.certificate).unwrap();
        let status = client.status().await.unwrap();
        assert_eq!(status.members.len(), 3, "a client is no member");
        // Asked again after the verdict, and as another process would.
        assert_eq!(client.wait(&job).await.unwrap().decree, verdict.decree);
        let other = world.client(&mesh.peers()[1..]);
        assert_eq!(other.wait(&job).await.unwrap().decree, verdict.decree);
    })
    .await;
}

#[tokio::test]
async fn a_client_goes_on_when_its_contact_dies() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(4, 1).await;
        // It is told of one peer only and learns the others from it.
        let client = world.client(&mesh.peers()[..1]);
        let job = client.submit(&plan("sum", json!([3, 3, 10]))).await.unwrap();
        client.status().await.unwrap();
        mesh.peers()[0].kill();
        let verdict = client.wait(&job).await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(27)));
    })
    .await;
}

#[tokio::test]
async fn a_client_cancels() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(3, 1).await;
        let client = world.client(&mesh.peers()[1..]);
        let job = client.submit(&plan("hang", json!(null))).await.unwrap();
        client.cancel(job.job, "enough").await.unwrap();
        assert_eq!(client.wait(&job).await.unwrap().decree.outcome.word(), "cancelled");
    })
    .await;
}

#[tokio::test]
async fn only_a_launcher_may_ask_a_peer_to_leave() {
    watchdog(async {
        let world = World::new();
        let guarded = world.peer().agent(tester(1)).start().await.unwrap();
        let launched = world.peer().allow_remote_leave().start().await.unwrap();
        let client = world.client(core::slice::from_ref(&guarded));
        client.leave(&launched.addresses()[0]).await.unwrap();
        assert!(matches!(launched.stopped().await, Stopped::Left));
        tokio::select! {
            left = client.leave(&guarded.addresses()[0]) => panic!("it left: {left:?}"),
            status = client.status() => assert_eq!(status.unwrap().me, guarded.life()),
        }
        assert!(guarded.is_running());
    })
    .await;
}

#[tokio::test]
async fn a_mesh_that_is_not_there_is_unreachable() {
    watchdog(async {
        let world = World::new();
        let peer = world.peer().start().await.unwrap();
        let client = world.client(core::slice::from_ref(&peer));
        client.status().await.unwrap();
        peer.kill();
        peer.stopped().await;
        let refused = client.submit(&plan("echo", json!(1))).await;
        let lost =
            matches!(refused, Err(ClientError::Unreachable { .. } | ClientError::ContactLost));
        assert!(lost, "{refused:?}");
    })
    .await;
}
