use std::collections::BTreeSet;

use formic::{Mdns, Reach, transport::Address};
use formic_core::discovery::Discovery as _;
use serde_json::{Value, json};

use crate::world::{World, ended, interrupt, signal, treehash, until};

#[tokio::test]
async fn a_plan_is_submitted_to_a_mesh_that_grows_and_shrinks() {
    let world = World::new();
    let (hash, input) = (world.local_hash().await, format!("dir={}", world.text("tree")));
    let can = ["--capability", "hash", "--events", "events"];
    let (founder, seed) = world.peer(&[&can[..], &["--name", "alice"]].concat()).await;
    let join = ["--join", &seed];
    let (second, _) = world.peer(&[&can[..], &join, &["--name", "bob"]].concat()).await;
    let own = ["--agent", "jsonl:formic example treehash", "--name", "carol"];
    let (third, _) = world.peer(&[&can[..], &join, &own].concat()).await;
    members(&world, &seed, 3).await;

    let submit = ["submit", &treehash(), "--join", &seed, "--input", &input];
    let report = world.formic(&[&submit[..], &["--json"]].concat()).await.exit(0).json();
    assert_eq!(report["result"], json!({"tree": hash}));
    assert_eq!(report["tasks"]["total"], 301);

    let job = world.formic(&[&submit[..], &["--detach"]].concat()).await.exit(0).stdout;
    assert_eq!(job.trim().len(), 32, "{job:?}");
    let table = world.formic(&["status"]).await.exit(0).stdout;
    assert!(
        table.contains("alice") && table.contains("carol") && table.contains(job.trim()),
        "{table}"
    );

    interrupt(&second);
    ended(second).await.exit(0);
    members(&world, &seed, 2).await;
    only_what_ran_there_is_done_again(&world.events("events"));

    let plan = world.write("gpu.yaml", "version: 1\ntasks:\n  t: {requires: [gpu], run: x}\n");
    let refused = world.formic(&["submit", &plan, "--join", &seed]).await.exit(3);
    assert!(refused.stderr.contains("nobody in the mesh has gpu"), "{refused:?}");

    for peer in [third, founder] {
        signal(&peer, rustix::process::Signal::TERM);
        ended(peer).await.exit(0);
    }
    let nobody = world.formic(&["status"]).await.exit(4);
    assert!(nobody.stderr.contains("no peer runs on this host"), "{nobody:?}");
}

#[tokio::test]
async fn an_interrupted_submission_cancels_its_job() {
    let world = World::new();
    let (founder, seed) = world.peer(&["--events", "events"]).await;
    let plan = world.write("plan.yaml", "version: 1\ntasks:\n  t: {run: sleep 600}\n");
    let submitter = world.command(&["run", &plan, "--join", &seed]).spawn().unwrap();
    world.event("events", "task_started").await;
    interrupt(&submitter);
    ended(submitter).await.exit(130);
    world.event("events", "job_verdict").await;
    let refused =
        world.formic(&["peer", "--join", &seed, "--agent", "jsonl:no-such-program"]).await;
    assert!(refused.exit(3).stderr.contains("no-such-program"));
    interrupt(&founder);
    ended(founder).await.exit(0);
}

#[tokio::test]
async fn a_peer_is_found_by_the_name_it_is_announced_under_until_it_leaves() {
    let source = Mdns::new("quic", Reach::Host);
    if let Err(error) = source.check() {
        eprintln!("NOT RUN: {error}");
        return;
    }
    let world = World::new();
    // Others on this host may announce peers as well.
    let name = format!("test-{}", std::process::id());
    let source = source.named(&name).unwrap();
    let mdns = format!("mdns:{name}");
    let (founder, seed) = world.peer(&["--announce", &mdns, "--name", "alice"]).await;
    let (second, _) = world.peer(&["--join", &mdns, "--name", "bob"]).await;
    members(&world, &seed, 2).await;
    let found = source.find().await.unwrap();
    assert_eq!(found, [Address::new("quic", &seed)], "bob is not announced");
    for peer in [second, founder] {
        interrupt(&peer);
        ended(peer).await.exit(0);
    }
    assert_eq!(source.find().await.unwrap(), []);
}

#[tokio::test]
async fn a_state_directory_serves_one_peer() {
    let world = World::new();
    let (first, _) = world.peer(&["--state", "state"]).await;
    let refused = world.formic(&["peer", "--state", "state"]).await.exit(2);
    assert!(refused.stderr.contains("is used by another peer"), "{refused:?}");
    interrupt(&first);
    ended(first).await.exit(0);
}

async fn members(world: &World, seed: &str, count: usize) {
    let mut alive = 0;
    while alive != count {
        let status = world.formic(&["status", "--join", seed, "--json"]).await.exit(0).json();
        let members = status["members"].as_array().unwrap().clone();
        alive = members.iter().filter(|member| member["state"] == "alive").count();
    }
    until(|| true).await;
}

/// Who leaves gives back what is queued; of its bodies only those that wait for children are executed again.
fn only_what_ran_there_is_done_again(events: &[Value]) {
    let of = |event: &str, field: &str, life: &Value| -> BTreeSet<String> {
        let lines = events.iter().filter(|it| it["event"] == event && it[field] == *life);
        lines.map(|it| it["key"].to_string()).collect()
    };
    let bob =
        events.iter().find(|it| it["event"] == "peer_started" && it["name"] == "bob").unwrap();
    let started = of("task_started", "peer", &bob["peer"]);
    let finished = of("task_finished", "peer", &bob["peer"]);
    let respawned = of("task_respawned", "from", &bob["peer"]);
    let is_missed = |it: &Value| it["event"] == "peer_down" && it["who"] == bob["peer"];
    if events.iter().any(|it| is_missed(it) && it["reason"] != "left") {
        // The machine stalled so long that others held it for dead: then all that it had is done again.
        return;
    }
    let open: BTreeSet<String> = started.difference(&finished).cloned().collect();
    // A few more were on their way when it left.
    assert!(respawned.len() <= open.len() + 8, "{respawned:?} of {open:?}");
}

/// Members of a mesh with an authority, on loopback; strangers and another authority's members stay outside.
#[tokio::test]
async fn only_members_of_the_authority_are_linked() {
    let world = World::new();
    let issue = async |ca: &str, state: &str, out: &str| {
        let key = world.formic(&["ca", "key", "--state", state]).await.exit(0).stdout;
        world.formic(&["ca", "issue", ca, "--key", key.trim(), "--out", out]).await.exit(0);
    };
    for ca in ["ours", "theirs"] {
        world.formic(&["ca", "init", ca]).await.exit(0);
        world
            .formic(&["ca", "issue", ca, "--client", "--out", &format!("client-{ca}")])
            .await
            .exit(0);
    }
    issue("ours", "a", "a.json").await;
    issue("ours", "b", "b.json").await;
    issue("theirs", "c", "c.json").await;
    assert_eq!(world.formic(&["ca", "list", "ours"]).await.exit(0).stdout.lines().count(), 3);

    let (_a, seed) = world.peer(&["--state", "a", "--mesh-key", "a.json"]).await;
    let joins = ["--join", &seed];
    let (_b, _) =
        world.peer(&[&["--state", "b", "--mesh-key", "b.json"][..], &joins].concat()).await;
    let (_c, _) =
        world.peer(&[&["--state", "c", "--mesh-key", "c.json"][..], &joins].concat()).await;
    let status = async |key: &str| {
        world.formic(&["status", "--json", "--join", &seed, "--mesh-key", key]).await
    };
    let members =
        async || status("client-ours").await.exit(0).json()["members"].as_array().unwrap().len();
    while members().await < 2 {
        tokio::time::sleep(core::time::Duration::from_millis(20)).await;
    }
    let foreign = status("client-theirs").await.exit(7);
    assert!(foreign.stderr.contains("of another mesh's authority"), "{foreign:?}");
    let bare = world.formic(&["status", "--join", &seed]).await.exit(7);
    assert!(bare.stderr.contains("no certificate of the mesh"), "{bare:?}");
    assert_eq!(members().await, 2, "the third peer is of another authority");

    let swapped = world.formic(&["peer", "--state", "d", "--mesh-key", "a.json"]).await.exit(2);
    assert!(swapped.stderr.contains("formic ca issue DIR --key "), "{swapped:?}");
    let for_peer = world.formic(&["status", "--join", &seed, "--mesh-key", "b.json"]).await.exit(2);
    assert!(for_peer.stderr.contains("--client"), "{for_peer:?}");
    let again = world.formic(&["ca", "init", "ours"]).await.exit(2);
    assert!(again.stderr.contains("not overwritten"), "{again:?}");
}
