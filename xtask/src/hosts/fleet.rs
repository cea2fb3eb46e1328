//! Real peers, one on each host, and a client on a host of its own.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::net::{Net, sh};

/// Whatever takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// Clients that run at once have a certificate each.
const SUBMITTER: &str = "submitter";
const WATCHER: &str = "watcher";
/// What `build` makes.
pub(crate) const FORMIC: &str = "target/debug/formic";

/// A mesh of `count` peers on as many hosts; host `count` is the client's.
pub(crate) struct Fleet {
    pub(crate) net: Net,
    folder: tempfile::TempDir,
    pub(crate) peers: Vec<Child>,
    /// Since when the events of all logs count.
    epoch_us: u64,
}

/// A client that waits for its job; killed when it is dropped.
pub(crate) struct Submitted {
    child: Child,
    report: PathBuf,
    told: PathBuf,
}

impl Submitted {
    /// Waits for the report.
    ///
    /// # Errors
    /// It hangs, failed, or said something else.
    pub(crate) fn report(mut self) -> Result<Value, String> {
        until("the job ends", || self.child.try_wait().ok().flatten().is_some())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let report = serde_json::from_str(&text(&self.report)).unwrap_or(Value::Null);
        if status.success() {
            return Ok(report);
        }
        Err(format!("{status}: {report} {}", text(&self.told).trim()))
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A line of a peer's log.
pub(crate) struct Line {
    /// Milliseconds since the fleet began.
    pub(crate) at_ms: u64,
    pub(crate) event: String,
    pub(crate) body: Value,
}

/// The clock of all logs: microseconds since the machine booted, sleep included.
pub(crate) fn boot_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(now.tv_sec) * 1_000_000 + part(now.tv_nsec) / 1_000
}

/// Builds what the hosts run.
///
/// # Errors
/// It does not build.
pub(crate) fn build() -> Result<(), String> {
    let status = Command::new("cargo").args(["build", "-p", "formic-cli", "--locked"]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("cargo build -p formic-cli: {other:?}")),
    }
}

impl Fleet {
    /// Starts an authority, and a peer on every host.
    ///
    /// # Errors
    /// What went wrong; nothing is left running.
    pub(crate) fn start(count: u8) -> Result<Self, String> {
        Self::start_over(count, 1_500)
    }

    /// The same over a network whose packets have at most `mtu` bytes.
    ///
    /// # Errors
    /// What went wrong; nothing is left running.
    pub(crate) fn start_over(count: u8, mtu: u16) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let epoch_us = boot_us();
        let net = Net::new(count + 1)?;
        net.limit(mtu)?;
        let mut fleet = Self { net, folder, peers: Vec::new(), epoch_us };
        let ca = fleet.text("ca");
        sh(FORMIC, &["ca", "init", &ca])?;
        for client in [SUBMITTER, WATCHER] {
            sh(FORMIC, &["ca", "issue", &ca, "--client", "--out", &fleet.text(client)])?;
        }
        for host in 0..count {
            let (state, out) =
                (fleet.text(&format!("state-{host}")), fleet.text(&format!("key-{host}")));
            let key = sh(FORMIC, &["ca", "key", "--state", &state])?;
            sh(FORMIC, &["ca", "issue", &ca, "--key", key.trim(), "--out", &out])?;
            let peer = fleet.peer(host)?;
            fleet.peers.push(peer);
        }
        Ok(fleet)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn formic(&self, host: u8, words: &[&str]) -> Result<Command, String> {
        let program =
            Path::new(FORMIC).canonicalize().map_err(|error| format!("{FORMIC}: {error}"))?;
        let mut command = self.net.command(host, &program.display().to_string());
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("XDG_STATE_HOME", self.path("home")).env("NO_COLOR", "1");
        if let Some(bin) = program.parent() {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", bin.display()));
        }
        Ok(command)
    }

    /// A peer on a host, in its next life if there was one. Returns when it listens.
    ///
    /// # Errors
    /// It does not listen.
    pub(crate) fn peer(&self, host: u8) -> Result<Child, String> {
        let listen = format!("{}:7000", Net::address(host));
        let state = self.text(&format!("state-{host}"));
        let key = self.text(&format!("key-{host}"));
        let (name, log) = (format!("host-{host}"), self.text(&format!("events-{host}")));
        let epoch = self.epoch_us.to_string();
        let first = format!("{}:7000", Net::address(u8::from(host == 0)));
        let mut words = vec!["peer", "--listen", &listen, "--state", &state, "--mesh-key", &key];
        words.extend(["--name", &name, "--events", &log, "--epoch-us", &epoch]);
        words.extend(["--slots", "2", "--capability", "fs", "--capability", "hash"]);
        if host > 0 {
            words.extend(["--join", &first]);
        }
        let mut child = self
            .formic(host, &words)?
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        if matches!(read, Some(Ok(_))) && line.starts_with("listening ") {
            return Ok(child);
        }
        child.kill().and_then(|()| child.wait()).ok();
        Err(format!("host {host} does not listen: {line:?}"))
    }

    /// Kills a peer as `kill -9` does: `ip netns exec` becomes the program that it runs.
    ///
    /// # Errors
    /// It was gone already.
    pub(crate) fn kill(&mut self, host: u8) -> Result<(), String> {
        let peer = &mut self.peers[usize::from(host)];
        peer.kill().and_then(|()| peer.wait()).map(drop).map_err(|error| error.to_string())
    }

    /// What a peer says about its mesh, asked from the client's host.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn status(&self, host: u8) -> Result<Value, String> {
        let (join, key) = (format!("{}:7000", Net::address(host)), self.text(WATCHER));
        let words = ["status", "--json", "--join", &join, "--mesh-key", &key];
        let output =
            self.formic(self.client(), &words)?.output().map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout).map_err(|error| format!("host {host}: {error}"))
    }

    fn client(&self) -> u8 {
        u8::try_from(self.peers.len()).unwrap_or(u8::MAX)
    }

    /// Submits a plan from the client's host.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn submit(&self, plan: &str, input: &str) -> Result<Submitted, String> {
        let (join, key) = (format!("{}:7000", Net::address(0)), self.text(SUBMITTER));
        let words =
            ["submit", plan, "--json", "--join", &join, "--mesh-key", &key, "--input", input];
        let (report, told) = (self.path("report"), self.path("told"));
        let file = |path: &Path| File::create(path).map_err(|error| error.to_string());
        let mut command = self.formic(self.client(), &words)?;
        command.stdout(file(&report)?).stderr(file(&told)?);
        let child = command.spawn().map_err(|error| error.to_string())?;
        Ok(Submitted { child, report, told })
    }

    /// What a peer wrote down so far.
    pub(crate) fn log(&self, host: u8) -> Vec<Line> {
        let text = fs::read_to_string(self.path(&format!("events-{host}"))).unwrap_or_default();
        let line = |line: &str| {
            let body: Value = serde_json::from_str(line).ok()?;
            let event = body["event"].as_str()?.to_owned();
            Some(Line { at_ms: body["at_us"].as_u64()? / 1_000, event, body })
        };
        text.lines().filter_map(line).collect()
    }

    /// Milliseconds since the fleet began, by the clock of the logs.
    pub(crate) fn now_ms(&self) -> u64 {
        boot_us().saturating_sub(self.epoch_us) / 1_000
    }

    /// Waits until each of these hosts knows one view of exactly as many members, all of them alive. Returns when.
    ///
    /// # Errors
    /// It never happens.
    pub(crate) fn one_view(&self, hosts: &[u8]) -> Result<u64, String> {
        let mut last = String::new();
        let agrees = until("all know one view", || {
            let views: Vec<Option<(Value, usize)>> = hosts
                .iter()
                .map(|host| {
                    let status = self.status(*host).ok()?;
                    let alive = status["members"].as_array()?.iter();
                    let alive = alive.filter(|member| member["state"] == "alive").count();
                    let members = status["view"]["members"].as_array()?.len();
                    (alive == members).then(|| (status["view"]["hash"].clone(), members))
                })
                .collect();
            last = format!("{views:?}");
            let whole = |view: &Option<(Value, usize)>| {
                view.as_ref().is_some_and(|(_, members)| *members == hosts.len())
            };
            views.iter().all(whole) && views.windows(2).all(|pair| pair[0] == pair[1])
        });
        agrees.map_err(|error| format!("{error}: {last}"))?;
        Ok(self.now_ms())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for peer in &mut self.peers {
            peer.kill().ok();
            peer.wait().ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no runtime in this program")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// Waits for what must happen.
///
/// # Errors
/// It never does.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > WATCHDOG {
            return Err(format!("within {} s it never happened: {what}", WATCHDOG.as_secs()));
        }
        pause(LOOK);
    }
    Ok(())
}
