use serde_json::json;

use crate::world::{World, ended, interrupt, runs, treehash, until};

#[tokio::test]
async fn a_tree_has_one_hash_however_it_is_computed() {
    let world = World::new();
    let (hash, input) = (world.local_hash().await, format!("dir={}", world.text("tree")));
    for transport in ["memory", "quic"] {
        let words =
            ["run", &treehash(), "--input", &input, "--peers", "4", "--transport", transport];
        let report = world.formic(&[&words[..], &["--json"]].concat()).await.exit(0).json();
        assert_eq!(report["result"], json!({"tree": hash}), "{transport}");
        // The tree, 12, 12 * 12 and 12 * 12 directories.
        assert_eq!(report["tasks"]["total"], 301);
        assert_eq!(report["tasks"]["executions"], 301);
        assert_eq!(report["tasks"]["lost"], 0);
        assert_eq!(report["peers"]["alive"], 4);
        assert_eq!(report["transport"], transport);
        assert_eq!((&report["ok"], &report["verdict"]), (&json!(true), &json!("complete")));
    }
}

#[tokio::test]
async fn two_of_five_processes_are_killed_and_nothing_is_lost() {
    let world = World::new();
    let (hash, input) = (world.local_hash().await, format!("dir={}", world.text("tree")));
    let certificate = world.text("certificate.json");
    for kills in [["--kill", "2@0ms"].as_slice(), &["--kill", "home@0ms", "--kill", "1@30ms"]] {
        let words = ["run", &treehash(), "--input", &input, "--peers", "5", "--transport", "quic"];
        let rest = ["--json", "--certificate", &certificate, "--seed", "5"];
        let report = world.formic(&[&words[..], &rest, kills].concat()).await.exit(0).json();
        assert_eq!(report["result"], json!({"tree": hash}));
        assert_eq!(report["tasks"]["lost"], 0);
        assert_eq!(report["tasks"]["total"], 301);
        assert_eq!(
            report["peers"],
            json!({"started": 5, "killed": 2, "alive": 3, "by_capability": {"fs": 5, "hash": 5}})
        );
        assert!(report["ms"]["detect_max"].is_u64(), "{report}");
    }
    let why = world.formic(&["why"]).await.exit(0).stdout;
    assert!(why.contains("was killed on purpose") && why.contains("noticed that"), "{why}");
    verified(&world, &certificate).await;
}

/// A real certificate verifies; with any byte changed it does not.
async fn verified(world: &World, path: &str) {
    let told = world.formic(&["verify", path]).await.exit(0).stdout;
    assert!(told.contains("It proves:") && told.contains("It does not prove:"), "{told}");
    assert!(told.contains("unpinned:"), "{told}");
    let bytes = std::fs::read(path).unwrap();
    for position in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        let refused = formic_cli::read_certificate(&changed)
            .and_then(|certificate| formic_cli::verify_certificate(&certificate, &[]));
        assert!(refused.is_err(), "byte {position}");
    }
    let changed = world.path("changed.json");
    for position in [0, 40, 200, bytes.len() / 2, bytes.len() - 100, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[position] ^= 1;
        std::fs::write(&changed, bytes).unwrap();
        let ended = world.formic(&["verify", "changed.json"]).await.exit(7);
        assert!(ended.stderr.starts_with("changed.json does not verify: "), "{ended:?}");
    }
    let stranger = "0".repeat(64);
    let ended = world.formic(&["verify", path, "--peer", &stranger]).await.exit(7);
    assert!(ended.stderr.contains("is not among the pinned peers"), "{ended:?}");
}

#[tokio::test]
async fn a_job_goes_on_after_all_processes_were_killed() {
    let world = World::new();
    let (hash, input) = (world.local_hash().await, format!("dir={}", world.text("tree")));
    for transport in ["quic", "memory"] {
        let state = world.text(transport);
        let words = ["run", &treehash(), "--input", &input, "--transport", transport];
        let words = [&words[..], &["--state", &state, "--json"]].concat();
        let killed = world
            .formic(&[&words[..], &["--peers", "5", "--kill", "5@0ms"]].concat())
            .await
            .exit(4);
        assert!(killed.stderr.contains("the same command goes on with the job"), "{killed:?}");
        assert_eq!(
            (&killed.json()["verdict"], &killed.json()["durable"]),
            (&json!("no-quorum"), &json!(true))
        );

        let other = world.write("other.yaml", "version: 1\ntasks:\n  a: {run: echo a}\n");
        let refused = world.formic(&["run", &other, "--state", &state]).await.exit(2);
        assert!(refused.stderr.contains("unfinished job"), "{refused:?}");

        let resumed = world.formic(&words).await.exit(0);
        let report = resumed.json();
        assert_eq!(report["job"], killed.json()["job"]);
        assert_eq!(report["result"], json!({"tree": hash}));
        assert_eq!(
            (&report["resumed"], &report["tasks"]["lost"]),
            (&json!(true), &json!(0)),
            "{report}"
        );
        assert_eq!(report["peers"]["started"], 5);

        let next = world.formic(&words).await.exit(0).json();
        assert_ne!(next["job"], report["job"], "a finished job is not resumed");
    }
}

/// View and attempt of `KEY.VIEW.ATTEMPT`.
fn fence(line: &str) -> (u64, u64) {
    let parts: Vec<_> = line.split('.').collect();
    assert_eq!(parts.len(), 3, "{line}");
    (parts[1].parse().unwrap(), parts[2].parse().unwrap())
}

#[tokio::test]
async fn an_exclusive_task_runs_under_fences_that_rise_whatever_dies() {
    let world = World::new();
    let tasks: String = (0..12)
        .map(|n| {
            format!(
                "  t{n}: {{exclusive: {{lease: 500ms}}, run: 'echo $FORMIC_FENCE >> {}; sleep 0.2; echo {n}'}}\n",
                world.text(&format!("fences-{n}"))
            )
        })
        .collect();
    let plan = world.write("plan.yaml", &format!("version: 1\ntasks:\n{tasks}"));
    for transport in ["memory", "quic"] {
        let words = ["run", &plan, "--peers", "5", "--transport", transport];
        let rest = ["--kill", "2@150ms", "--json", "--seed", "3"];
        let report = world.formic(&[&words[..], &rest].concat()).await.exit(0).json();
        assert_eq!(report["tasks"]["total"], 12, "{report}");
        for n in 0..12 {
            let path = world.path(&format!("fences-{n}"));
            let text = std::fs::read_to_string(&path).unwrap();
            let fences: Vec<_> = text.lines().map(fence).collect();
            assert!(!fences.is_empty() && fences.is_sorted_by(|a, b| a < b), "{n}: {fences:?}");
            std::fs::remove_file(&path).unwrap();
        }
    }
}

#[tokio::test]
async fn failed_tasks_are_reported_and_exit_1() {
    let world = World::new();
    let plan = world.write(
        "plan.yaml",
        r#"
version: 1
tasks:
  good: {run: 'printf "%s" "$WHAT"', env: {WHAT: "a 'b' \"c\""}}
  bad: {run: 'echo oh no >&2; exit 3', retry: {max: 1}}
  after: {needs: [bad], run: echo never}
  slow: {run: sleep 60, budget: {wall: 200ms}}
  uses: {needs: [good], run: 'echo "[$IT]"', env: {IT: "${{ tasks.good.value }}"}}
"#,
    );
    let report = world.formic(&["run", &plan, "--json"]).await.exit(1).json();
    assert_eq!((&report["verdict"], &report["ok"]), (&json!("complete"), &json!(false)));
    assert_eq!(report["result"]["good"], "a 'b' \"c\"");
    assert_eq!(report["result"]["uses"].as_str().map(str::trim), Some("[a 'b' \"c\"]"));
    assert_eq!(report["result"]["bad"], json!(null));
    assert!(report["errors"]["bad"].as_str().unwrap().contains('3'), "{report}");
    assert!(report["errors"]["after"].as_str().unwrap().contains("bad"), "{report}");
    assert!(report["errors"]["slow"].is_string(), "{report}");
    // good, bad twice, slow, uses.
    assert_eq!(report["tasks"]["executions"], 5, "{report}");
    let told = world.formic(&["why", "bad"]).await;
    assert!(told.stderr.contains("are 2 tasks"), "{told:?}");
    let screen = world.formic(&["run", &plan]).await.exit(1).stdout;
    assert!(screen.contains("FAILED"), "{screen}");
}

#[tokio::test]
async fn exit_codes_tell_what_happened() {
    let world = World::new();
    let slow = world.write("slow.yaml", "version: 1\ntasks:\n  slow: {run: sleep 60}\n");
    let ended = world.formic(&["run", &slow, "--timeout", "300ms", "--json"]).await.exit(5);
    assert_eq!(ended.json()["verdict"], "timeout");
    let why = world.formic(&["why"]).await.exit(0).stdout;
    assert!(why.contains("the command ended: timeout (exit 5)"), "{why}");

    let missing = world.write(
        "missing.yaml",
        "version: 1\nagents: {a: {adapter: jsonl, command: [no-such-program]}}\ntasks: {t: {payload: 1}}\n",
    );
    let ended = world.formic(&["run", &missing]).await.exit(3);
    assert!(ended.stderr.contains("agent a needs `no-such-program`"), "{ended:?}");

    let unplaced = world.write("gpu.yaml", "version: 1\ntasks:\n  t: {requires: [gpu], run: x}\n");
    let ended = world.formic(&["run", &unplaced]).await.exit(3);
    assert!(ended.stderr.contains("no agent has the capability `gpu`"), "{ended:?}");

    world.formic(&["run", &slow, "--check"]).await.exit(0);
    world.formic(&["verify", &slow]).await.exit(7);
    world.formic(&["submit", &slow, "--join", "127.0.0.1:1", "--timeout", "1s"]).await.exit(4);
}

#[tokio::test]
async fn killing_the_last_capable_peer_is_told() {
    let world = World::new();
    let plan = world.write(
        "plan.yaml",
        "version: 1\nagents:\n  a: {adapter: command, capabilities: [x]}\n\
         tasks:\n  t: {requires: [x], run: sleep 60}\n",
    );
    let ended = world.formic(&["run", &plan, "--kill", "home@0ms", "--json"]).await.exit(4);
    assert!(ended.stderr.contains("no peer is left"), "{ended:?}");
    assert!(ended.stderr.contains("with --state DIR"), "{ended:?}");
}

#[tokio::test]
async fn ctrl_c_leaves_no_process_behind() {
    let world = World::new();
    let note = world.text("pid");
    let plan = world.write("plan.yaml", "version: 1\ntasks:\n  t: {run: 'echo $$ > \"$NOTE\"; sleep 600', env: {NOTE: \"${{ inputs.note }}\"}}\ninputs: {note: {}}\n");
    for transport in ["memory", "quic"] {
        drop(std::fs::remove_file(&note));
        drop(std::fs::remove_file(world.path("events")));
        let words = ["run", &plan, "--input", &format!("note={note}"), "--peers", "3"];
        let rest = ["--transport", transport, "--events", "events"];
        let child = world.command(&[&words[..], &rest].concat()).spawn().unwrap();
        until(|| std::fs::read_to_string(&note).is_ok_and(|it| it.ends_with('\n'))).await;
        interrupt(&child);
        ended(child).await.exit(130);
        let shell: i64 = std::fs::read_to_string(&note).unwrap().trim().parse().unwrap();
        until(|| !runs(shell)).await;
        let events = world.events("events");
        let pids: Vec<i64> = (events.iter())
            .filter(|line| line["event"] == "peer_started")
            .map(|line| line["pid"].as_i64().unwrap())
            .collect();
        assert_eq!(pids.len(), 3, "{transport}");
        assert!(!pids.into_iter().any(runs), "{transport}: a peer was left behind");
    }
}
