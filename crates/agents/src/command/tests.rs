use std::{collections::BTreeMap, fs};

use formic::{Adapter, Recipe};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::host::double::{Double, runs, work};

struct Bench {
    agent: CommandAgent,
    folder: TempDir,
}

impl Bench {
    fn new(command: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let config = Config {
            work_root: Some(folder.path().join("root")),
            stdout_max: 64 << 10,
            executable: Some("/bin/echo".into()),
            ..Config::default()
        };
        let spec = AgentSpec {
            name: "sh".into(),
            adapter: Adapter::Command,
            command: command.iter().map(|&word| word.to_owned()).collect(),
            capabilities: vec![],
            slots: 1,
        };
        let environment = Arc::new(Environment::new(&config).unwrap());
        let spawner = Arc::new(Spawner::start().unwrap());
        Self { agent: CommandAgent::new(spec, config, environment, spawner), folder }
    }

    fn recipe(&self, run: &str, outputs: &[(&str, &str)]) -> Recipe {
        let text = |text: &str| text.to_owned();
        Recipe {
            agent: self.agent.shared.spec.clone(),
            run: Some(run.to_owned()),
            env: BTreeMap::from([(text("COLOUR"), text("blue"))]),
            outputs: outputs.iter().map(|(name, path)| (text(name), text(path))).collect(),
        }
    }

    async fn run_with(&self, run: &str, outputs: &[(&str, &str)]) -> Result<Done, AgentError> {
        let mut work = work(json!({"n": 1}));
        work.recipe = Some(self.recipe(run, outputs));
        self.agent.execute(work, Double::alone()).await
    }

    async fn value(&self, run: &str) -> Value {
        self.run_with(run, &[]).await.unwrap().value
    }

    async fn error(&self, run: &str) -> AgentError {
        self.run_with(run, &[]).await.unwrap_err()
    }

    /// Folders of executions that are left.
    fn left(&self) -> usize {
        let root = fs::read_dir(self.folder.path().join("root")).unwrap();
        root.filter(|entry| {
            !entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("bin-")
        })
        .count()
    }
}

fn bench() -> Bench {
    Bench::new(&[])
}

#[tokio::test]
async fn stdout_is_the_value_and_formic_is_on_the_path() {
    let bench = bench();
    assert_eq!(bench.value("printf 'a\\nb\\n\\n'").await, json!("a\nb\n"));
    assert_eq!(bench.value("echo $(formic example treehash)").await, json!("example treehash"));
    assert_eq!(bench.value("cat \"$FORMIC_PAYLOAD\"; cat").await, json!(r#"{"n":1}"#));
    assert_eq!(bench.left(), 0);
}

#[tokio::test]
async fn the_environment_is_what_is_documented() {
    let bench = bench();
    let text = bench.value("env").await;
    let names: Vec<&str> =
        text.as_str().unwrap().lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
    for name in ["PATH", "COLOUR", "FORMIC_JOB", "FORMIC_TASK", "FORMIC_WALL_MS", "FORMIC_LIFE"] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let told =
        "echo $FORMIC_PROTOCOL $FORMIC_KIND $FORMIC_NAME $FORMIC_ATTEMPT $FORMIC_PEER $COLOUR";
    assert_eq!(bench.value(told).await, json!("command/1 test a test 1 p3 blue"));
    let here = std::env::current_dir().unwrap();
    assert_eq!(bench.value("pwd").await, json!(here));
}

#[tokio::test]
async fn failures_name_exit_and_last_words() {
    let bench = bench();
    let error = bench.error("echo out; echo why >&2; exit 3").await;
    assert_eq!(
        (error.code.as_str(), error.message.as_str(), error.retryable),
        ("exit-3", "why", false)
    );
    let error = bench.error("exit 75").await;
    assert_eq!((error.code.as_str(), error.retryable), ("exit-75", true));
    assert_eq!(bench.error("kill -9 $$").await.code, "signal-9");
    let error = bench.error("seq 1 5000 >&2; exit 1").await;
    assert!(error.message.len() <= QUOTE_MAX && error.message.ends_with("4999\n5000"), "{error}");
    assert_eq!(bench.left(), 0);
}

#[tokio::test]
async fn too_large_values_and_floods_are_refused() {
    let bench = bench();
    let error = bench.error("head -c 5000 /dev/zero | tr '\\0' x").await;
    assert_eq!(error.code, "value-too-large");
    assert!(error.message.contains("5000") && error.message.contains("outputs"), "{error}");
    // Fits as bytes, not as JSON text.
    assert_eq!(bench.error("head -c 4000 /dev/zero | tr '\\0' '\"'").await.code, "value-too-large");
    assert_eq!(bench.error("printf '\\377'").await.code, "bad-value");
    assert_eq!(bench.error("yes").await.code, "flood");
    assert_eq!(bench.error("yes >&2").await.code, "flood");
}

#[tokio::test]
async fn declared_outputs_are_hashed_and_stay() {
    let bench = bench();
    let outputs = [("report", "sub/report.txt")];
    let run = "mkdir $FORMIC_OUTPUTS/sub; printf hello > $FORMIC_OUTPUTS/sub/report.txt; touch $FORMIC_WORK/x";
    let done = bench.run_with(run, &outputs).await.unwrap();
    let [file] = done.files.as_slice() else { panic!("{done:?}") };
    assert_eq!((file.name.as_str(), file.size), ("report", 5));
    assert_eq!(file.digest, formic_core::Digest::of(&[b"hello"]));
    assert_eq!(fs::read_to_string(&file.path).unwrap(), "hello");
    assert_eq!(bench.left(), 1);
    bench.agent.shared.environment.remove();
    assert_eq!(fs::read_to_string(&file.path).unwrap(), "hello", "outputs outlive the adapters");
}

#[tokio::test]
async fn missing_and_escaping_outputs_fail() {
    let bench = bench();
    let cases = [
        ("true", "report.txt", "missing-output"),
        ("true", "../x", "bad-output"),
        ("true", "/etc/passwd", "bad-output"),
        ("ln -s /etc/passwd $FORMIC_OUTPUTS/l", "l", "bad-output"),
        ("mkdir $FORMIC_OUTPUTS/d", "d", "bad-output"),
    ];
    for (run, path, code) in cases {
        let error = bench.run_with(run, &[("report", path)]).await.unwrap_err();
        assert_eq!(error.code, code, "{path}: {error}");
        assert!(error.message.contains("report"), "{error}");
    }
    assert_eq!(bench.left(), 0);
}

#[tokio::test]
async fn an_argv_is_run_and_a_missing_one_named() {
    let bench = Bench::new(&["/bin/sh", "-c", "echo $FORMIC_KIND"]);
    let done = bench.agent.execute(work(json!(null)), Double::alone()).await.unwrap();
    assert_eq!(done.value, json!("test"));
    let error = self::bench().agent.execute(work(json!(null)), Double::alone()).await.unwrap_err();
    assert_eq!(error.code, "no-command");
}

#[tokio::test]
async fn walls_and_cancels_kill_the_whole_group() {
    let bench = bench();
    let pids = bench.folder.path().join("pids");
    let run = format!(
        "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo $$ $! > {0}.new; mv {0}.new {0}; wait; wait",
        pids.display()
    );
    let mut limited = work(json!(null));
    limited.recipe = Some(bench.recipe(&run, &[]));
    let host = Double::alone();
    let cancel = async {
        while !pids.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        host.cancel.send_replace(true);
    };
    let (result, ()) = tokio::join!(bench.agent.execute(limited, Arc::clone(&host) as _), cancel);
    assert_eq!(result.unwrap_err().code, "cancelled");
    let pids = fs::read_to_string(pids).unwrap();
    while pids.split_whitespace().any(runs) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut limited = work(json!(null));
    limited.recipe = Some(bench.recipe("sleep 100", &[]));
    limited.wall = Some(Duration::from_millis(50));
    assert!(bench.agent.execute(limited, Double::alone()).await.unwrap_err().expired);
    assert_eq!(bench.left(), 0);
}

#[tokio::test]
async fn a_background_process_does_not_outlive_its_task() {
    let bench = bench();
    let pid = bench.value("sleep 100 >/dev/null 2>&1 & echo $!").await;
    let pid = pid.as_str().unwrap();
    while runs(pid) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
