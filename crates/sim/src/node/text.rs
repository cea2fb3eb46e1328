//! How plans are written and read.

use core::{fmt, str::FromStr, time::Duration};

use formic_core::Time;

use super::{
    faults::Fault,
    plan::{Job, Peer, Plan, Strike, When},
};
use crate::{
    completion::plan::{Shape, Workload},
    marks::Mark,
};

/// Why a text is no plan. The fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}expected {expected}, found {found:?}", at_line(*.line))]
pub struct BadPlan {
    /// Counted from 1; 0 if it is no line of a file.
    pub line: usize,
    /// What belongs there.
    pub expected: &'static str,
    /// What is there.
    pub found: String,
}

fn at_line(line: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

impl BadPlan {
    pub(super) fn expected(expected: &'static str, found: &str) -> Self {
        Self { line: 0, expected, found: found.chars().take(100).collect() }
    }
}

/// A duration as seconds with six decimals.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// Numbers with spaces between.
pub(super) struct List<'a>(pub(super) &'a [usize]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{one}")?;
        }
        Ok(())
    }
}

/// Seconds with at most six decimals.
pub(super) fn seconds(text: &str) -> Result<Duration, BadPlan> {
    let bad = || BadPlan::expected("seconds, e.g. 1.25", text);
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if part.len() > 6 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let micros: u64 = format!("{part:0<6}").parse().map_err(|_| bad())?;
    let whole: u64 = whole.parse().map_err(|_| bad())?;
    let all = whole.checked_mul(1_000_000).and_then(|us| us.checked_add(micros));
    all.filter(|us| *us <= 3_600_000_000).map(Duration::from_micros).ok_or_else(bad)
}

pub(super) fn number<T: FromStr>(text: &str) -> Result<T, BadPlan> {
    text.trim().parse().map_err(|_| BadPlan::expected("a whole number", text))
}

/// Numbers of peers.
pub(super) fn list(text: &str) -> Result<Vec<usize>, BadPlan> {
    text.split_whitespace().map(number).collect()
}

/// `NAME(A, B)` as its name and arguments.
pub(super) fn arguments(text: &str) -> Result<(&str, Vec<&str>), BadPlan> {
    let inner = text.trim().strip_suffix(')').and_then(|text| text.split_once('('));
    let (name, inner) = inner.ok_or_else(|| BadPlan::expected("NAME(..)", text))?;
    Ok((name, inner.split(',').map(str::trim).collect()))
}

fn time(text: &str) -> Result<Time, BadPlan> {
    seconds(text).map(|span| Time::ZERO + span)
}

fn since_start(at: Time) -> Seconds {
    Seconds(at.since(Time::ZERO))
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::At(at) => write!(f, "at {}: {}", since_start(at), self.fault),
            When::Mark(mark, after) => {
                write!(f, "when {} + {}: {}", mark.name(), Seconds(after), self.fault)
            }
        }
    }
}

impl FromStr for Strike {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let bad = || BadPlan::expected("at TIME: FAULT or when MARK + DELAY: FAULT", text);
        let (when, fault) = text.split_once(':').ok_or_else(bad)?;
        let fault: Fault = fault.parse()?;
        if let Some(at) = when.strip_prefix("at ") {
            return Ok(Self { when: When::At(time(at)?), fault });
        }
        let (mark, after) =
            when.strip_prefix("when ").and_then(|when| when.split_once(" + ")).ok_or_else(bad)?;
        let mark = Mark::named(mark).ok_or_else(|| BadPlan::expected("a mark's name", mark))?;
        Ok(Self { when: When::Mark(mark, seconds(after)?), fault })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "profile node")?;
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "link {} {}", self.delay, self.jitter)?;
        writeln!(f, "held {}", self.held_max)?;
        writeln!(f, "calm {}", since_start(self.calm))?;
        for (number, peer) in self.peers.iter().enumerate() {
            if let Some(start) = peer.start {
                let (slots, process) = (peer.slots, peer.process);
                let start = since_start(start);
                writeln!(f, "peer {number} start {start} slots {slots} process {process}")?;
            }
        }
        for job in &self.jobs {
            let Workload { shape, width, depth, tails, joins, moody, exclusive, body } = job.work;
            let shape = match shape {
                Shape::Tree => "tree",
                Shape::Chain => "chain",
                Shape::Flat => "flat",
            };
            let (at, peer, body) = (since_start(job.at), job.peer, Seconds(body));
            write!(f, "job {at} peer {peer} {shape} width {width} depth {depth} ")?;
            writeln!(
                f,
                "tails {tails} joins {joins} moody {moody} exclusive {exclusive} body {body}"
            )?;
        }
        self.faults.iter().try_for_each(|strike| writeln!(f, "{strike}"))
    }
}

fn job(words: &[&str]) -> Result<Job, BadPlan> {
    let [at, "peer", peer, shape, "width", width, "depth", depth, rest @ ..] = words else {
        return Err(BadPlan::expected("a job", &words.join(" ")));
    };
    let ["tails", tails, "joins", joins, "moody", moody, "exclusive", exclusive, "body", body] =
        rest
    else {
        return Err(BadPlan::expected("tails, joins, moody, exclusive, body", &rest.join(" ")));
    };
    let shape = match *shape {
        "tree" => Shape::Tree,
        "chain" => Shape::Chain,
        "flat" => Shape::Flat,
        other => return Err(BadPlan::expected("tree, chain or flat", other)),
    };
    let work = Workload {
        shape,
        width: number(width)?,
        depth: number(depth)?,
        tails: number(tails)?,
        joins: number(joins)?,
        moody: number(moody)?,
        exclusive: number(exclusive)?,
        body: seconds(body)?,
    };
    Ok(Job { at: time(at)?, peer: number(peer)?, work })
}

/// Peers in one plan at most.
const PEERS_MAX: usize = 1_000;

impl Plan {
    fn read_line(&mut self, line: &str) -> Result<(), BadPlan> {
        if line.starts_with("at ") || line.starts_with("when ") {
            self.faults.push(line.parse()?);
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["profile", "node"] => {}
            ["seed", seed] => self.seed = number(seed)?,
            ["link", delay, jitter] => {
                (self.delay, self.jitter) = (number(delay)?, number(jitter)?);
            }
            ["held", held] => self.held_max = number(held)?,
            ["calm", calm] => self.calm = time(calm)?,
            ["peer", peer, "start", start, "slots", slots, "process", process] => {
                let index: usize = number(peer)?;
                if index >= PEERS_MAX {
                    return Err(BadPlan::expected("a peer below 1000", peer));
                }
                while self.peers.len() <= index {
                    let process = self.peers.len();
                    self.peers.push(Peer { start: None, slots: 1, process });
                }
                let start = Some(time(start)?);
                let (slots, process) = (number(slots)?, number(process)?);
                self.peers[index] = Peer { start, slots, process };
            }
            ["job", rest @ ..] => self.jobs.push(job(rest)?),
            _ => return Err(BadPlan::expected("a line of a plan", line)),
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = BadPlan;

    /// Reads what `Display` writes; `#` starts a comment.
    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let mut plan = Self::empty();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let at = |bad| BadPlan { line: index + 1, ..bad };
                plan.read_line(line).map_err(at)?;
            }
        }
        plan.check()?;
        Ok(plan)
    }
}
