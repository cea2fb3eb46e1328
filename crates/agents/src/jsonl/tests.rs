//! Torture: whatever a worker does, its task fails with a clear code, no process stays, and the next task is served.

use std::{fs, path::PathBuf};

use formic::Adapter;
use formic_core::Key;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::host::double::{Double, runs, work};

/// A worker in shell. `$id` is the task's id; payloads with the word `good` are done at once.
struct Torture {
    agent: Arc<JsonlAgent>,
    folder: TempDir,
}

const READY: &str = r#"{"type":"ready","version":1,"name":"t","slots":1,"features":["spawn"]}"#;

fn quick() -> Config {
    Config {
        grace: Duration::ZERO,
        unread: Duration::from_secs(1),
        line_max: 64 << 10,
        stdout_max: 64 << 10,
        ..Config::default()
    }
}

fn agent(config: &Config, command: Vec<String>) -> JsonlAgent {
    let name = "worker".to_owned();
    let capabilities = Vec::new();
    let spec = AgentSpec { name, adapter: Adapter::Jsonl, command, capabilities, slots: 2 };
    let environment = Arc::new(Environment::new(config).unwrap());
    JsonlAgent::new(spec, config.clone(), environment, Arc::new(Spawner::start().unwrap()))
}

impl Torture {
    /// The whole script is given.
    fn raw(script: &str, mut config: Config) -> Self {
        let folder = TempDir::new().unwrap();
        config.work_root = Some(folder.path().join("root"));
        let dir = folder.path().display();
        let script = format!("echo $$ >> {dir}/pids; heard={dir}/heard; {script}");
        let command = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        Self { agent: Arc::new(agent(&config, command)), folder }
    }

    /// `bad` is what the worker does with tasks that are not good.
    fn new(bad: &str) -> Self {
        Self::ready(READY, bad, quick())
    }

    fn ready(ready: &str, bad: &str, config: Config) -> Self {
        let script = format!(
            r#"read -r hello; echo '{ready}'
            while read -r line; do
                echo "$line" >> $heard
                case "$line" in *'"type":"task"'*) ;; *) continue ;; esac
                id=$(echo "$line" | sed 's/.*"id":"\([^"]*\)".*/\1/')
                case "$line" in
                    *good*) echo '{{"type":"done","task":"'$id'","value":"fine"}}' ;;
                    *) {bad} ;;
                esac
            done"#
        );
        Self::raw(&script, config)
    }

    async fn run(&self, payload: &str) -> Result<Value, AgentError> {
        self.run_on(payload, Double::alone()).await
    }

    async fn run_on(&self, payload: &str, host: Arc<Double>) -> Result<Value, AgentError> {
        self.agent.execute(work(json!(payload)), host).await.map(|done| done.value)
    }

    fn heard(&self, text: &str) -> bool {
        fs::read_to_string(self.path("heard")).is_ok_and(|heard| heard.contains(text))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pids(&self) -> Vec<String> {
        let pids = fs::read_to_string(self.path("pids")).unwrap_or_default();
        pids.lines().map(str::to_owned).collect()
    }

    /// The bad task fails with `code`, its process is gone, and the next task is served.
    async fn fails(&self, code: &str, message: &str) {
        let error = self.run("bad").await.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(message), "{error}");
        assert!(self.pids().iter().all(|pid| !runs(pid)), "a process is left after {error}");
        assert_eq!(self.run("good").await, Ok(json!("fine")));
        self.ends().await;
    }

    async fn ends(&self) {
        self.agent.close(Duration::from_secs(5)).await;
        assert!(!self.pids().is_empty());
        assert!(self.pids().iter().all(|pid| !runs(pid)), "a process is left after close");
    }
}

#[tokio::test]
async fn a_worker_that_ends_early_crashed_whatever_its_status() {
    Torture::new("exit 0").fails("crashed", "exit status: 0").await;
    Torture::new("echo no luck >&2; exit 1").fails("crashed", "no luck").await;
    Torture::new(r#"printf '{"type":"done","task":"t1","va'; exit 0"#).fails("crashed", "").await;
    Torture::new("exec 1>&-; sleep 100").fails("crashed", "closed its stdout").await;
}

#[tokio::test]
async fn a_result_before_the_exit_counts() {
    let done = r#"echo '{"type":"done","task":"'$id'","value":1}'; exit 3"#;
    let torture = Torture::new(done);
    assert_eq!(torture.run("last words").await, Ok(json!(1)));
    // A task that is sent to a process in its last moment fails with it.
    while PathBuf::from(format!("/proc/{}", torture.pids()[0])).exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(torture.run("good").await, Ok(json!("fine")));
    torture.ends().await;
}

#[tokio::test]
async fn malformed_lines_are_answered_and_the_tenth_kills() {
    let torture =
        Torture::new(r#"for i in 1 2 3 4 5 6 7 8 9 10; do echo '{"type":'; done; sleep 100"#);
    torture.fails("protocol", "10 malformed lines").await;
    let twice = r#"echo '{"type":"done","task":"t1","task":"t1","value":1}'; echo '{"type":"done","task":"'$id'","value":2}'"#;
    let torture = Torture::new(twice);
    assert_eq!(torture.run("a key twice").await, Ok(json!(2)));
    assert_eq!(torture.run("good").await, Ok(json!("fine")));
    assert!(torture.heard("bad_line") && torture.heard("is there twice"));
    torture.ends().await;
}

#[tokio::test]
async fn floods_and_huge_lines_kill() {
    Torture::new("yes garbage").fails("flood", "stray output").await;
    let huge = "head -c 3000000 /dev/zero | tr '\\0' x; sleep 100";
    Torture::new(huge).fails("protocol", "a line of more than 65536 bytes").await;
}

#[tokio::test]
async fn a_process_that_does_not_read_is_killed() {
    let spam =
        r#"while :; do echo '{"type":"join","id":"r","task":"t1","children":[],"any":true}'; done"#;
    Torture::new(spam).fails("protocol", "did not read").await;
}

#[tokio::test]
async fn stray_output_and_stderr_reach_the_log_of_the_task() {
    let torture = Torture::new(
        r#"echo chatter; echo grumble >&2; sleep 0.2; echo '{"type":"done","task":"'$id'","value":0}'"#,
    );
    let host = Double::alone();
    assert_eq!(torture.run_on("bad", Arc::clone(&host)).await, Ok(json!(0)));
    assert!(host.logged("info: chatter") && host.logged("info: grumble"));
    torture.ends().await;
}

#[tokio::test]
async fn late_unknown_and_unoffered_messages_change_nothing() {
    let strange = r#"
        echo '{"type":"done","task":"t99","value":1}'; echo '{"type":"put","id":"r1","task":"'$id'"}'
        echo '{"type":"put","id":"r2","task":"'$id'"}'; echo '{"type":"done","task":"'$id'","value":1}'
        echo '{"type":"done","task":"'$id'","value":2}'; echo '{"type":"spawn","id":"r3","task":"'$id'","child":{"kind":"k","payload":0}}'"#;
    let torture = Torture::new(strange);
    assert_eq!(torture.run("strange").await, Ok(json!(1)));
    for _ in 0..3 {
        assert_eq!(torture.run("good").await, Ok(json!("fine")));
    }
    assert!(torture.heard("unknown_task") && torture.heard("does not offer"));
    assert!(torture.heard(r#""re":"r2""#) && torture.heard(r#""code":"late""#));
    assert_eq!(torture.pids().len(), 1, "one process served all");
    torture.ends().await;
}

#[tokio::test]
async fn cancelled_tasks_of_deaf_workers_leave_no_process() {
    let deaf = "trap '' TERM; touch $heard.deaf; while :; do sleep 0.1; done";
    let torture = Torture::new(deaf);
    let host = Double::alone();
    let cancel = async {
        while !torture.path("heard.deaf").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        host.cancel.send_replace(true);
    };
    let (result, ()) = tokio::join!(torture.run_on("bad", Arc::clone(&host)), cancel);
    assert_eq!(result.unwrap_err().code, "cancelled");
    assert!(torture.pids().iter().all(|pid| !runs(pid)));
    let mut limited = work(json!("bad"));
    limited.wall = Some(Duration::from_millis(100));
    let error = torture.agent.execute(limited, Double::alone()).await.unwrap_err();
    assert!(error.expired, "{error}");
    assert!(torture.pids().iter().all(|pid| !runs(pid)));
    assert_eq!(torture.run("good").await, Ok(json!("fine")));
    torture.ends().await;
}

#[tokio::test]
async fn a_dropped_body_ends_its_task() {
    let torture = Torture::new("touch $heard.begun; sleep 100");
    {
        let run = torture.run("bad");
        tokio::pin!(run);
        while !torture.path("heard.begun").exists() {
            tokio::select! {
                result = &mut run => panic!("{result:?}"),
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    }
    while torture.pids().iter().any(|pid| runs(pid)) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(torture.run("good").await, Ok(json!("fine")));
    torture.ends().await;
}

#[tokio::test]
async fn a_failed_handshake_says_why() {
    let cases = [
        (
            r#"read -r hello; echo '{"type":"ready","version":7,"name":"t","slots":1,"features":[]}'; sleep 100"#,
            "speaks version 7",
        ),
        ("sleep 100", "not ready within 1s"),
        ("echo cannot load model >&2; exit 3", "cannot load model"),
        (r#"echo '{"type":"done","task":"t1","value":1}'; sleep 100"#, "is not `ready`"),
        ("yes", "before it was ready"),
        (
            r#"read -r hello; echo '{"type":"ready","version":1,"name":"t","slots":0,"features":[]}'"#,
            "0 slots",
        ),
    ];
    for (script, message) in cases {
        let mut config = quick();
        if message.starts_with("not ready") {
            config.open_timeout = Duration::from_secs(1);
        }
        let torture = Torture::raw(script, config);
        let error = torture.run("any").await.unwrap_err();
        assert_eq!(error.code, "open", "{error}");
        assert!(error.message.contains(message), "{error}");
        assert!(torture.pids().iter().all(|pid| !runs(pid)));
        torture.ends().await;
    }
}

#[tokio::test]
async fn five_deaths_a_minute_withdraw_the_agent() {
    let torture = Torture::new("exit 9");
    for _ in 0..5 {
        assert_eq!(torture.run("bad").await.unwrap_err().code, "crashed");
    }
    assert_eq!(torture.run("good").await.unwrap_err().code, "withdrawn");
    assert_eq!(torture.pids().len(), 5, "no process is started in vain");
    torture.ends().await;
}

fn runner(agent: &Arc<JsonlAgent>, key: u8) -> Arc<Double> {
    let agent = Arc::clone(agent);
    Double::new(
        Some(Arc::new(move |work, host| {
            let agent = Arc::clone(&agent);
            Box::pin(async move { agent.execute(work, host).await })
        })),
        Key::from_bytes([key; 16]),
    )
}

#[tokio::test]
async fn a_blocking_worker_that_joins_gets_no_other_task() {
    let parent = r#"
        echo '{"type":"spawn","id":"r1","task":"'$id'","child":{"kind":"k","payload":"good"}}'; read -r key
        echo '{"type":"join","id":"r2","task":"'$id'","children":"all"}'; read -r joined; echo "$joined" >> $heard
        echo '{"type":"done","task":"'$id'","value":"parent"}'"#;
    let torture = Torture::new(parent);
    let host = runner(&torture.agent, 1);
    assert_eq!(torture.run_on("parent", host).await, Ok(json!("parent")));
    assert_eq!(torture.pids().len(), 2, "the child got a process of its own");
    assert!(torture.heard(r#""status":"ok","value":"fine""#));
    torture.ends().await;
}

/// Not a test: the process that [`tasks_compute_the_hash_of_one_process`] starts. The lines of the test harness around
/// it are stray output.
#[tokio::test]
#[ignore = "started as a process by another test"]
async fn treehash_worker() {
    let (stdin, stdout) = (tokio::io::stdin(), tokio::io::stdout());
    crate::treehash::serve(stdin, stdout, 2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_compute_the_hash_of_one_process() {
    let tree = TempDir::new().unwrap();
    let mut deep = tree.path().join("deep");
    for level in 0..100 {
        deep = deep.join("d");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f"), format!("level {level}")).unwrap();
    }
    for number in 0..1_500 {
        let dir = tree.path().join(format!("wide/{number}"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("f"), number.to_string()).unwrap();
    }
    let strange = tree.path().join(std::path::Path::new(
        <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff\xfe"),
    ));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("f"), "in a name without UTF-8").unwrap();
    std::os::unix::fs::symlink("/nowhere", strange.join("link")).unwrap();
    let exe = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let command = [&exe, "jsonl::tests::treehash_worker", "--exact", "--ignored", "--nocapture"];
    let agent = Arc::new(agent(&Config::default(), command.map(str::to_owned).to_vec()));
    let host = runner(&agent, 1);
    let task = work(json!({"path": tree.path()}));
    let done = agent.execute(task, host).await.unwrap();
    let (local, skipped) = crate::treehash::local(tree.path()).unwrap();
    assert_eq!((done.value, skipped.0), (json!(local), 0));
    let missing = tree.path().join("missing");
    let error = agent.execute(work(json!({"path": missing})), runner(&agent, 2)).await.unwrap_err();
    assert_eq!(error.code, "unreadable");
    assert!(error.message.contains(missing.to_str().unwrap()), "{error}");
    agent.close(Duration::from_secs(5)).await;
}
