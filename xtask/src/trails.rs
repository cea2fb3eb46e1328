//! Two kinds of work on real processes: half of the peers are ten times as fast at one, half at the other, and
//! nobody is told. `cargo xtask bench trails`.

use std::{
    fmt::Write as _,
    fs,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::hosts::{FORMIC, build, pause};

const PEERS: usize = 8;
const KINDS: [&str; 2] = ["alpha", "beta"];
/// Seconds in a body of the kind a peer is good at, and of the other.
const FAST: &str = "0.2";
const FAST_S: f64 = 0.2;
const SLOW: &str = "2";
/// Tasks before and after the speeds are swapped.
const HALF: usize = 400;
/// Longer hangs.
const WATCHDOG: Duration = Duration::from_secs(400);
const LOOK: Duration = Duration::from_millis(100);
/// Over so long a rate is taken.
const WINDOW: f64 = 2.0;
/// Settled again: this share of the rate before the swap.
const SETTLED: f64 = 0.8;

/// Which kinds the plan names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Both,
    None,
}

/// One run's figures.
struct Run {
    /// Tasks per second before the swap, from the first result on.
    before: f64,
    /// In the last half of that time.
    steady: f64,
    /// After the swap, until the last result.
    after: f64,
    /// Seconds from the swap until the rate is back.
    settled: Option<f64>,
    /// In all.
    seconds: f64,
}

/// `words`: `--formic FILE` runs another build, `--one-kind` a plan without kinds, for builds that know none.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let (formic, kinds) = match words {
        [] => (None, Named::Both),
        ["--formic", file] => (Some(*file), Named::Both),
        ["--formic", file, "--one-kind"] => (Some(*file), Named::None),
        ["--one-kind"] => (None, Named::None),
        _ => return Err(format!("bench trails: unknown words {words:?}; see cargo xtask")),
    };
    if formic.is_none() {
        build()?;
    }
    let formic = Path::new(formic.unwrap_or(FORMIC)).canonicalize();
    let formic = formic.map_err(|error| format!("formic: {error}"))?;
    let Run { before, steady, after, settled, seconds } = measure(&formic, kinds)?;
    let optimum = PEERS as f64 / FAST_S;
    let share = |rate: f64| format!("{rate:.1}/s ({:.0} %)", 100.0 * rate / optimum);
    let settled = settled.map_or_else(|| "never".to_owned(), |it| format!("{it:.1} s"));
    println!("| what | figure (of the optimum {optimum:.0}/s) |\n|---|---|");
    println!("| throughput of the first {HALF} tasks, cold | {} |", share(before));
    println!("| in the last half of that time | {} |", share(steady));
    println!("| throughput of {HALF} tasks after the speeds were swapped | {} |", share(after));
    println!(
        "| after the swap, until {:.0} % of the rate before it | {settled} |",
        SETTLED * 100.0
    );
    println!("| all {} tasks | {seconds:.1} s |", 2 * HALF);
    Ok(())
}

fn measure(formic: &Path, kinds: Named) -> Result<Run, String> {
    let fleet = Fleet::start(formic)?;
    fleet.write_speeds(0)?;
    let plan = fleet.write_plan(kinds)?;
    let mut job = fleet.command(&["run", &plan, "--join", &fleet.address(0), "--quiet", "--json"]);
    job.stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut job = Running(job.spawn().map_err(|error| error.to_string())?);
    let start = Instant::now();
    let mut swap = None;
    loop {
        let done = fleet.done();
        if swap.is_none() && done.len() >= HALF {
            fleet.write_speeds(1)?;
            swap = done.last().copied();
        }
        if let Some(status) = job.0.try_wait().map_err(|error| error.to_string())? {
            if !status.success() {
                return Err(format!("the job ended with {status}"));
            }
            break;
        }
        if start.elapsed() > WATCHDOG {
            return Err(format!("{} tasks are done after {WATCHDOG:?}", done.len()));
        }
        pause(LOOK);
    }
    let done = fleet.done();
    let swap = swap.ok_or("the speeds were not swapped")?;
    figures(&done, swap).ok_or_else(|| format!("{} results", done.len()))
}

fn figures(done: &[f64], swap: f64) -> Option<Run> {
    let (first, last) = (*done.first()?, *done.last()?);
    let rate = |from: f64, to: f64| {
        let count = done.iter().filter(|at| **at > from && **at <= to).count();
        count as f64 / (to - from).max(0.001)
    };
    let steady = rate(first.midpoint(swap), swap);
    let is_back =
        |end: &&f64| **end >= swap + WINDOW && rate(**end - WINDOW, **end) >= SETTLED * steady;
    let settled = done.iter().find(is_back).map(|end| end - swap);
    let seconds = last - first;
    Some(Run { before: rate(first, swap), steady, after: rate(swap, last), settled, seconds })
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

struct Fleet {
    formic: PathBuf,
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    peers: Vec<Running>,
}

impl Fleet {
    /// Peers with one slot each, one process each, over QUIC on loopback.
    fn start(formic: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let ports = free_ports().map_err(|error| error.to_string())?;
        let mut fleet = Self { formic: formic.to_owned(), folder, ports, peers: vec![] };
        for n in 0..PEERS {
            let (name, events) = (format!("p{n}"), fleet.text(&format!("events-{n}")));
            let (listen, seed) = (fleet.address(n), fleet.address(0));
            let mut words = vec!["peer", "--name", &name, "--events", &events, "--listen", &listen];
            words.extend(["--slots", "1", "--capability", "shell"]);
            if n > 0 {
                words.extend(["--join", &seed]);
            }
            let mut command = fleet.command(&words);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            fleet.peers.push(Running(command.spawn().map_err(|error| error.to_string())?));
        }
        let start = Instant::now();
        while fleet.count(|line| line["event"] == "peer_up") < PEERS * (PEERS - 1) {
            if start.elapsed() > Duration::from_secs(60) {
                return Err("the peers do not find each other".to_owned());
            }
            pause(LOOK);
        }
        Ok(fleet)
    }

    fn text(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn address(&self, n: usize) -> String {
        format!("127.0.0.1:{}", self.ports[n])
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.formic);
        command.args(words).stdin(Stdio::null()).env("XDG_STATE_HOME", self.text("home"));
        command.env("NO_COLOR", "1");
        command
    }

    /// Each peer is fast at one kind: even ones at the first, and after a swap at the second.
    fn write_speeds(&self, swapped: usize) -> Result<(), String> {
        let fast = |n: usize| format!(" p{n}:{} ", KINDS[(n + swapped) % KINDS.len()]);
        let speeds: String = (0..PEERS).map(fast).collect();
        // In one step: bodies read it all the time.
        let (next, path) = (self.text("speeds.next"), self.text("speeds"));
        fs::write(&next, speeds).map_err(|error| error.to_string())?;
        fs::rename(next, path).map_err(|error| error.to_string())
    }

    fn write_plan(&self, kinds: Named) -> Result<String, String> {
        let mut plan =
            "version: 1\nagents:\n  shell: {adapter: command, capabilities: [shell]}\ntasks:\n"
                .to_owned();
        let at = self.folder.path().display().to_string();
        for n in 0..2 * HALF {
            let kind = KINDS[n % KINDS.len()];
            let said = match kinds {
                Named::Both => format!("    kind: {kind}\n"),
                Named::None => String::new(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                plan,
                "  t{n}:\n{said}    requires: [shell]\n    env: {{AT: \"{at}\", WORK: {kind}}}\n    \
                 run: exec sh \"$AT/body\"",
            );
        }
        let body = format!(
            "case \"$(cat \"$AT/speeds\")\" in *\" $FORMIC_PEER:$WORK \"*) exec sleep {FAST};; esac\n\
             exec sleep {SLOW}\n"
        );
        fs::write(self.text("body"), body).map_err(|error| error.to_string())?;
        let path = self.text("plan.yaml");
        fs::write(&path, plan).map_err(|error| error.to_string())?;
        Ok(path)
    }

    fn lines(&self, n: usize) -> Vec<Value> {
        let text = fs::read_to_string(self.text(&format!("events-{n}"))).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn count(&self, which: impl Fn(&Value) -> bool) -> usize {
        (0..PEERS).map(|n| self.lines(n).iter().filter(|line| which(line)).count()).sum()
    }

    /// When the results came, in seconds, by the clock of the peer that waits for them.
    fn done(&self) -> Vec<f64> {
        let of = |n: usize| -> Vec<f64> {
            let lines = self.lines(n);
            let done = lines.iter().filter(|line| line["event"] == "task_done");
            done.filter_map(|line| Some(line["at_us"].as_f64()? / 1e6)).collect()
        };
        (0..PEERS).map(of).max_by_key(Vec::len).unwrap_or_default()
    }
}

/// Ports that are free now.
fn free_ports() -> std::io::Result<Vec<u16>> {
    let sockets: std::io::Result<Vec<UdpSocket>> =
        (0..PEERS).map(|_| UdpSocket::bind("127.0.0.1:0")).collect();
    sockets?.iter().map(|socket| Ok(socket.local_addr()?.port())).collect()
}
