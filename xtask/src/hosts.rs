//! Meshes over several hosts: real peers in network namespaces (transport.md section 12).

use std::{
    fs,
    time::{Duration, Instant},
};

mod fleet;
mod net;
mod streams;

pub(crate) use fleet::{FORMIC, build, pause};
use fleet::{Fleet, Line, until};
pub(crate) use net::missing;
use net::sh;

/// Its name, and what must hold.
type Scenario = (&'static str, fn() -> Result<Vec<Row>, String>);

/// What was measured.
type Row = (String, String);

const SCENARIOS: &[Scenario] = &[
    ("mesh", mesh),
    ("job", job),
    ("partition", partition),
    ("reconnect", streams::reconnect),
    ("mtu_1280", mtu_1280),
];

const PLAN: &str = "examples/treehash.yaml";

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let (skip, names): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| **word == "--allow-skip");
    let known = |name: &&&str| SCENARIOS.iter().any(|(known, _)| known == *name) || **name == "all";
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        return Err(format!("hosts: no scenario {unknown:?}; expected all, {}", all.join(", ")));
    }
    if let Some(missing) = missing() {
        if skip.is_empty() {
            return Err(format!("{missing}; --allow-skip goes on without"));
        }
        println!("NOT RUN: hosts ({missing})");
        return Ok(());
    }
    net::sweep_stale()?;
    build()?;
    let all = names.is_empty() || names.contains(&"all");
    println!("| scenario | what | figure |\n|---|---|---|");
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| all || names.contains(name)) {
        let start = Instant::now();
        let rows = scenario().map_err(|error| format!("{name}: {error}"))?;
        for (what, figure) in rows {
            println!("| {name} | {what} | {figure} |");
        }
        println!("| {name} | the whole scenario | {:.1} s |", start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn row(what: &str, figure: impl core::fmt::Display) -> Row {
    (what.to_owned(), figure.to_string())
}

fn ms(ms: u64) -> String {
    format!("{ms} ms")
}

/// When the last of these hosts first said this after a moment.
fn last(
    fleet: &Fleet,
    hosts: &[u8],
    since: u64,
    says: impl Fn(&Line) -> bool,
) -> Result<u64, String> {
    let mut last = 0;
    for host in hosts {
        let first = fleet.log(*host).into_iter().find(|line| line.at_ms >= since && says(line));
        let line = first.ok_or_else(|| format!("host {host} never said it"))?;
        last = last.max(line.at_ms);
    }
    Ok(last)
}

/// Ten hosts, one view.
fn mesh() -> Result<Vec<Row>, String> {
    let fleet = Fleet::start(10)?;
    let hosts: Vec<u8> = (0..10).collect();
    fleet.one_view(&hosts)?;
    let up = |line: &Line| {
        line.event == "view_committed"
            && line.body["members"].as_array().is_some_and(|it| it.len() == 10)
    };
    let started = last(&fleet, &[9], 0, |line| line.event == "peer_started")?;
    let known = last(&fleet, &hosts, 0, up)?;
    Ok(vec![row(
        "the last of 10 peers started, until all know a view of 10",
        ms(known.saturating_sub(started)),
    )])
}

/// A tree whose hash takes some seconds on five hosts.
fn tree(fleet: &Fleet, dirs: u32) -> Result<(String, String), String> {
    let root = fleet.path("tree");
    for n in 0..dirs {
        let dir = root.join(format!("{}/{}/{}", n % 19, n % 361 / 19, n));
        fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        fs::write(dir.join("file"), n.to_string()).map_err(|error| error.to_string())?;
    }
    let root = root.display().to_string();
    let hash = sh(FORMIC, &["example", "treehash", "--local", &root])?;
    Ok((format!("dir={root}"), hash.trim().to_owned()))
}

/// The job's result is that of one process, and no task failed.
fn check(report: &serde_json::Value, hash: &str) -> Result<(), String> {
    if report["result"]["tree"] != hash {
        return Err(format!("the result is {}, one process says {hash}", report["result"]));
    }
    if report["tasks"]["failed"] != 0 {
        return Err(format!("tasks failed: {}", report["tasks"]));
    }
    Ok(())
}

/// How many told the end of the job, all with one outcome of as many tasks.
fn one_verdict(fleet: &Fleet, hosts: &[u8]) -> Result<usize, String> {
    let lines = hosts.iter().flat_map(|host| fleet.log(*host));
    let told: Vec<String> = lines
        .filter(|line| line.event == "job_verdict")
        .map(|line| format!("{} {} {}", line.body["job"], line.body["outcome"], line.body["tasks"]))
        .collect();
    let mut different = told.clone();
    different.sort();
    different.dedup();
    if different.len() == 1 {
        Ok(told.len())
    } else {
        Err(format!("{} verdicts: {different:?}", different.len()))
    }
}

fn started(fleet: &Fleet) -> Result<u64, String> {
    let runs =
        || (0..5).any(|host| fleet.log(host).iter().any(|line| line.event == "task_started"));
    until("the job starts", runs)?;
    Ok(fleet.now_ms())
}

/// Five hosts: a fifth of the packets is lost one way, a host is cut off for five seconds, a peer is killed.
fn job() -> Result<Vec<Row>, String> {
    let mut fleet = Fleet::start(5)?;
    fleet.one_view(&[0, 1, 2, 3, 4])?;
    let (input, hash) = tree(&fleet, 8_000)?;
    let submitted = fleet.submit(PLAN, &input)?;
    let begun = started(&fleet)?;
    fleet.net.lose(1, 0, 20)?;
    fleet.net.cut(&[3])?;
    let cut = fleet.now_ms();
    pause(Duration::from_millis(400));
    fleet.kill(4)?;
    let killed = fleet.now_ms();
    pause(Duration::from_secs(5).saturating_sub(Duration::from_millis(fleet.now_ms() - cut)));
    let lost = fleet.net.heal()?;
    let healed = fleet.now_ms();
    let known = fleet.one_view(&[0, 1, 2, 3])?;
    let report = submitted.report()?;
    check(&report, &hash)?;
    let verdicts = one_verdict(&fleet, &[0, 1, 2, 3])?;
    let survivors = [0, 1, 2];
    let dead = fleet.log(4).first().map(|line| line.body["peer"].clone()).unwrap_or_default();
    let down = |line: &Line| line.event == "peer_down" && line.body["who"] == dead;
    let missed = last(&fleet, &survivors, killed, down)?;
    Ok(vec![
        row("tasks, and result equal to one process", &report["tasks"]["total"]),
        row("executions", &report["tasks"]["executions"]),
        row("packets lost to 20 % one way and a cut of 5 s", lost),
        row("kill -9 until all others know", ms(missed.saturating_sub(killed))),
        row("heal until one view of all that live", ms(known.saturating_sub(healed))),
        row("verdicts told, all alike", verdicts),
        row("first task until the report", ms(fleet.now_ms() - begun)),
    ])
}

/// The smallest network that IPv6 allows, on every host: nothing depends on larger packets.
fn mtu_1280() -> Result<Vec<Row>, String> {
    let fleet = Fleet::start_over(4, 1_280)?;
    fleet.one_view(&[0, 1, 2, 3])?;
    let (input, hash) = tree(&fleet, 2_000)?;
    let submitted = fleet.submit(PLAN, &input)?;
    let begun = started(&fleet)?;
    let report = submitted.report()?;
    check(&report, &hash)?;
    Ok(vec![
        row("tasks, and result equal to one process", &report["tasks"]["total"]),
        row("verdicts told, all alike", one_verdict(&fleet, &[0, 1, 2, 3])?),
        row("first task until the report", ms(fleet.now_ms() - begun)),
    ])
}

/// Three hosts of five and two are cut apart for five seconds during a job.
fn partition() -> Result<Vec<Row>, String> {
    let fleet = Fleet::start(5)?;
    let all = [0, 1, 2, 3, 4];
    fleet.one_view(&all)?;
    let (input, hash) = tree(&fleet, 8_000)?;
    let submitted = fleet.submit(PLAN, &input)?;
    started(&fleet)?;
    let cut = fleet.now_ms();
    fleet.net.cut(&[3, 4])?;
    pause(Duration::from_secs(5));
    let healing = fleet.now_ms();
    fleet.net.heal()?;
    let healed = fleet.now_ms();
    let known = fleet.one_view(&all)?;
    let report = submitted.report()?;
    check(&report, &hash)?;
    let alone = |line: &Line| line.event == "quorum_lost";
    let lost = last(&fleet, &[3, 4], cut, alone)?;
    let decided = [3, 4].iter().flat_map(|host| fleet.log(*host)).filter(|line| {
        let cut_off = line.at_ms > lost && line.at_ms < healing;
        cut_off && matches!(line.event.as_str(), "view_committed" | "job_complete" | "job_verdict")
    });
    let decided = decided.count();
    if decided > 0 {
        return Err(format!("the minority decided {decided} times"));
    }
    Ok(vec![
        row("cut until the minority knows that it is one", ms(lost.saturating_sub(cut))),
        row("decisions of the minority", decided),
        row("heal until one view of five", ms(known.saturating_sub(healed))),
        row("verdicts told, all alike", one_verdict(&fleet, &all)?),
        row("executions", &report["tasks"]["executions"]),
    ])
}
