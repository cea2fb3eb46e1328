//! Peers that go on as their next life in the same process.

use formic_core::Incarnation;
use serde_json::json;

use super::harness::{World, plan, result, tester, until_busy, watchdog};
use crate::{Error, LogEvent, Mesh, Peer, Store};

async fn reborn(peer: &Peer) {
    let old = peer.life();
    peer.be_reborn().await;
    assert_eq!(peer.life().incarnation, old.incarnation.next());
    peer.wait_joined().await.unwrap();
}

/// Every peer in turn, the one at home of the job included.
async fn a_job_outlives_the_lives_of(world: &World, mesh: &Mesh) {
    let job = mesh.submit(&plan("sum", json!([3, 4, 10]))).await.unwrap();
    for peer in mesh.peers() {
        until_busy(world, peer).await;
        reborn(peer).await;
    }
    let verdict = job.wait().await.unwrap();
    assert_eq!(result(&verdict).value("sum"), Some(&json!(64)));
    formic_node::verify_certificate(&verdict.certificate).unwrap();
    let lines = world.log.lines();
    let reborn = lines.iter().filter(|line| matches!(line.event, LogEvent::PeerReborn { .. }));
    assert_eq!(reborn.count(), mesh.peers().len());
}

#[tokio::test]
async fn a_worker_is_reborn_and_its_work_is_done_again() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(4, 1).await;
        let job = mesh.submit(&plan("sum", json!([3, 4, 10]))).await.unwrap();
        let worker = &mesh.peers()[3];
        until_busy(&world, worker).await;
        reborn(worker).await;
        let verdict = job.wait().await.unwrap();
        assert_eq!(result(&verdict).value("sum"), Some(&json!(64)));
        // The others give work to the new life.
        let job = mesh.submit(&plan("sum", json!([3, 4, 10]))).await.unwrap();
        until_busy(&world, worker).await;
        job.wait().await.unwrap();
        let status = mesh.peers()[0].status().await.unwrap();
        let known = status.members.iter().find(|it| it.life.peer == worker.life().peer).unwrap();
        assert_eq!((known.life, known.state.as_str()), (worker.life(), "alive"));
    })
    .await;
}

#[tokio::test]
async fn a_home_without_a_state_directory_goes_on_with_its_job() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(4, 1).await;
        a_job_outlives_the_lives_of(&world, &mesh).await;
    })
    .await;
}

#[tokio::test]
async fn homes_with_state_directories_go_on_with_their_job() {
    watchdog(async {
        let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
        let world = World::new();
        let mut mesh = Mesh::new();
        for dir in &dirs {
            let store = Store::open(dir.path()).unwrap();
            mesh.add(world.stored(store).agent(tester(1))).await.unwrap();
        }
        a_job_outlives_the_lives_of(&world, &mesh).await;
        mesh.leave().await;
        drop(mesh);
        // The lives that began in place are over as well: the next process begins above them.
        for dir in &dirs {
            assert_eq!(Store::open(dir.path()).unwrap().incarnation(), Incarnation(3));
        }
    })
    .await;
}

#[tokio::test]
async fn handles_of_jobs_that_are_over_survive() {
    watchdog(async {
        let world = World::new();
        let mesh = world.mesh(3, 1).await;
        let home = &mesh.peers()[0];
        let job = home.submit(&plan("echo", json!(5))).await.unwrap();
        let verdict = job.wait().await.unwrap();
        reborn(home).await;
        assert_eq!(job.wait().await.unwrap().decree, verdict.decree);
        let again = home.job(job.id()).await.unwrap().wait().await.unwrap();
        assert_eq!(again.decree, verdict.decree);
        let unknown = crate::JobId::from_bytes([9; 16]);
        assert!(matches!(home.job(unknown).await, Err(Error::UnknownJob { .. })));
        // The new life takes work and plans like any other.
        let job = home.submit(&plan("sum", json!([2, 3]))).await.unwrap();
        assert_eq!(result(&job.wait().await.unwrap()).value("sum"), Some(&json!(9)));
        mesh.leave().await;
    })
    .await;
}
