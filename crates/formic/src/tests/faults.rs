//! Peers that die, leave and come back.

use serde_json::json;

use super::harness::{World, plan, result, tester, until_busy, watchdog};
use crate::{Error, LogEvent, Mesh, Peer, Stopped, Store};

#[tokio::test]
async fn a_killed_worker_loses_nothing() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(4, 1).await;
        let job = mesh.submit(&plan("sum", json!([3, 4, 10]))).await.unwrap();
        until_busy(&world, &mesh.peers()[3]).await;
        mesh.peers()[3].kill();
        let verdict = job.wait().await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(64)));
        assert!(matches!(mesh.peers()[3].stopped().await, Stopped::Killed));
        formic_node::verify_certificate(&verdict.certificate).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_killed_home_loses_nothing() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(5, 1).await;
        let job = mesh.submit(&plan("sum", json!([3, 4, 10]))).await.unwrap();
        until_busy(&world, &mesh.peers()[4]).await;
        let client = world.client(&mesh.peers()[1..]);
        mesh.peers()[0].kill();
        assert!(matches!(job.wait().await, Err(Error::Stopped)));
        let verdict = client.wait(&crate::ClientJob::known(job.id())).await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(64)));
        let lines = world.log.lines();
        assert!(lines.iter().any(|line| matches!(line.event, LogEvent::HomeTookOver { .. })));
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_leaves_is_not_missed() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(4, 1).await;
        let job = mesh.submit(&plan("sum", json!([3, 4, 5]))).await.unwrap();
        until_busy(&world, &mesh.peers()[2]).await;
        assert!(matches!(mesh.peers()[2].leave().await, Stopped::Left));
        let verdict = job.wait().await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(64)));
        // No storm: at most what the leaver itself held is executed again.
        let leaver = mesh.peers()[2].life().to_string();
        let strangers = world.log.lines().into_iter().filter(
            |line| matches!(&line.event, LogEvent::TaskRespawned { from, .. } if *from != leaver),
        );
        assert_eq!(strangers.count(), 0, "work of others was done again");
        mesh.leave().await;
        assert!(mesh.peers().iter().all(|peer| !peer.is_running()));
    })
    .await;
}

/// A peer per directory.
async fn restart(world: &World, dirs: &[tempfile::TempDir]) -> Mesh {
    let mut mesh = Mesh::new();
    for dir in dirs {
        let store = Store::open(dir.path()).unwrap();
        mesh.add(world.stored(store).agent(tester(1))).await.unwrap();
    }
    mesh
}

#[tokio::test]
async fn a_job_survives_the_death_of_every_process() {
    watchdog(async {
        let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let world = World::new();
        let start = || restart(&world, &dirs);
        let mesh = start().await;
        let job = mesh.submit(&plan("sum", json!([2, 4, 20]))).await.unwrap().id();
        until_busy(&world, &mesh.peers()[1]).await;
        for peer in mesh.peers() {
            peer.kill();
            peer.stopped().await;
        }
        drop(mesh);
        let mesh = start().await;
        let verdict = mesh.peers()[0].job(job).await.unwrap().wait().await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(16)));
        let resumed = world.log.lines().into_iter();
        assert!(
            resumed.filter(|line| matches!(line.event, LogEvent::JobResumed { .. })).count() >= 2
        );
        // A third process finds the verdict in the store.
        mesh.leave().await;
        drop(mesh);
        let mesh = start().await;
        let again = mesh.peers()[0].job(job).await.unwrap().wait().await.unwrap();
        assert_eq!(again.decree, verdict.decree);
    })
    .await;
}

#[tokio::test]
async fn a_job_nobody_knows_is_unknown() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(2, 1).await;
        let job = crate::JobId::from_bytes([9; 16]);
        assert!(matches!(mesh.peers()[0].job(job).await, Err(Error::UnknownJob { .. })));
        let client = world.client(mesh.peers());
        let unknown = client.wait(&crate::ClientJob::known(job)).await;
        assert_eq!(unknown, Err(crate::ClientError::UnknownJob { job }));
    })
    .await;
}

#[tokio::test]
async fn a_peer_is_who_its_transport_says() {
    let world = World::new();
    let (a, b) = (crate::Identity::fresh().unwrap(), crate::Identity::fresh().unwrap());
    let transport = world.hub.join(a.life(), "a").unwrap();
    let refused = Peer::builder(transport, b).start().await;
    assert!(matches!(refused, Err(Error::WrongLife { .. })), "{refused:?}");
}
