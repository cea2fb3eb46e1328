use core::time::Duration;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

/// Whatever takes longer hangs.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(120);

/// A host with nothing on it but a directory tree.
pub(crate) struct World {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn exit(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        for a in 0..12 {
            for b in 0..12 {
                let dir = world.path("tree").join(format!("a{a}/b{b}/c"));
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join("file"), format!("{a} {b}")).unwrap();
                fs::write(dir.join("empty"), "").unwrap();
            }
        }
        std::os::unix::fs::symlink("nowhere", world.path("tree/a0/link")).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.text(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_formic"));
        command
            .args(words)
            .current_dir(self.folder.path())
            .env("XDG_STATE_HOME", self.path("home"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn formic(&self, words: &[&str]) -> Ended {
        ended(self.command(words).spawn().unwrap()).await
    }

    /// The hash of the tree, computed in one process.
    pub(crate) async fn local_hash(&self) -> String {
        let tree = self.text("tree");
        let ended = self.formic(&["example", "treehash", "--local", &tree]).await.exit(0);
        ended.stdout.trim().to_owned()
    }

    /// A peer that runs until it is told to leave, and its address.
    pub(crate) async fn peer(&self, words: &[&str]) -> (Child, String) {
        let mut child = self.command(&[&["peer"], words].concat()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        timeout(WATCHDOG, stdout.read_line(&mut line)).await.unwrap().unwrap();
        let address = line.split_whitespace().nth(1).unwrap_or_else(|| panic!("{line:?}"));
        (child, address.to_owned())
    }

    /// The lines of an event log so far.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until the log has such an event.
    pub(crate) async fn event(&self, log: &str, event: &str) {
        until(|| self.events(log).iter().any(|line| line["event"] == event)).await;
    }
}

pub(crate) async fn ended(child: Child) -> Ended {
    let output =
        timeout(WATCHDOG, child.wait_with_output()).await.expect("the command hangs").unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WATCHDOG, wait).await.expect("it never happens");
}

pub(crate) fn interrupt(child: &Child) {
    signal(child, rustix::process::Signal::INT);
}

pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Whether a process runs; a dead one that nobody has waited for does not.
pub(crate) fn runs(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

pub(crate) fn treehash() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/treehash.yaml").display().to_string()
}
