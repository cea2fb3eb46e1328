use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use formic::{LogEvent, LogLine};

use super::story::{State, Story, stamp};
use crate::{
    report::{cut, thousands},
    span::show_ms,
};

/// Tasks that are listed one by one.
const LISTED_MAX: usize = 10;

/// The story of the job: what happened, what failed, what was left open and on whom it waited.
pub(crate) fn tell(story: &Story<'_>) -> String {
    let mut out = match story.job {
        Some(job) => format!("job {job}\n"),
        None => "no job was accepted\n".to_owned(),
    };
    let mut chapters =
        Chapters { story, respawns: respawns(story.lines), notices: BTreeMap::new() };
    for line in story.lines {
        if let Some(text) = chapters.tell(line) {
            out.push_str(&stamp(line.at_us, &text));
        }
    }
    out.push_str(&failures(story));
    out.push_str(&open(story));
    out
}

struct Chapters<'a> {
    story: &'a Story<'a>,
    /// How often each owner's life gave up tasks at each dead life.
    respawns: BTreeMap<(&'a str, &'a str), u64>,
    /// How many peers noticed a death so far.
    notices: BTreeMap<&'a str, u64>,
}

fn respawns(lines: &[LogLine]) -> BTreeMap<(&str, &str), u64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        if let LogEvent::TaskRespawned { from, .. } = &line.event {
            *counts.entry((line.peer.as_str(), from.as_str())).or_default() += 1;
        }
    }
    counts
}

impl<'a> Chapters<'a> {
    fn tell(&mut self, line: &'a LogLine) -> Option<String> {
        let peer = |life: &str| self.story.peer(life);
        let at = peer(&line.peer);
        Some(match &line.event {
            LogEvent::RunStarted { plan, peers, transport, seed, durable, .. } => {
                let state = if *durable { "durable state" } else { "state in memory only" };
                format!("{plan}: {peers} peers over {transport}, {state}, seed {seed}")
            }
            LogEvent::PeerStarted { capabilities, slots, .. } => {
                let can = if capabilities.is_empty() {
                    "anything".to_owned()
                } else {
                    capabilities.join(", ")
                };
                format!("{at} started: {can}; {slots} at once")
            }
            LogEvent::PeerRefused { reason } => format!("{at} was refused by the mesh: {reason}"),
            LogEvent::PeerReborn { was } => format!("{at} goes on after the end of {}", peer(was)),
            LogEvent::PeerStopped {} => format!("{at} left in good order"),
            LogEvent::ChaosKill { who, .. } => format!("{} was killed on purpose", peer(who)),
            LogEvent::PeerDown { who, reason } => return self.notice(line, who, reason),
            LogEvent::JobAccepted { home, .. } => {
                let home: Vec<String> = home.iter().map(|life| peer(life)).collect();
                format!("the job was accepted; home: {}", home.join(", "))
            }
            LogEvent::JobResumed { .. } => {
                format!("{at} found the job in its state and goes on with it")
            }
            LogEvent::HomeChanged { home, .. } => {
                let home: Vec<String> = home.iter().map(|life| peer(life)).collect();
                format!("{at} heads another home group: {}", home.join(", "))
            }
            LogEvent::HomeTookOver { rank, .. } => format!("{at}, home peer {rank}, took over"),
            LogEvent::TaskRespawned { from, .. } => {
                let count = self.respawns.remove(&(line.peer.as_str(), from.as_str()))?;
                let tasks = if count == 1 {
                    "1 task".to_owned()
                } else {
                    format!("{} tasks", thousands(count))
                };
                format!("{at} had {tasks} at {}: they are executed again", peer(from))
            }
            LogEvent::TaskUnplaceable { key, missing, .. } => {
                let name = self.story.name(key);
                format!("`{name}` waits: no single live peer has {}", missing.join(", "))
            }
            LogEvent::TaskDivergent { key, .. } => {
                let name = self.story.name(key);
                format!("`{name}` gave a second, different result, which was not used")
            }
            LogEvent::JobComplete { outcome, .. } => format!("{at} decided the result: {outcome}"),
            LogEvent::JobVerdict { tasks, excluded, .. } => return self.proved(*tasks, excluded),
            LogEvent::JobAnomaly { what, .. } => format!("ANOMALY at {at}: {what}"),
            LogEvent::Misbehaved { who, what } => format!("{at} refused what {who} sent: {what}"),
            LogEvent::RunFinished { verdict, exit } => {
                format!("the command ended: {verdict} (exit {exit})")
            }
            _ => return self.voted(line),
        })
    }

    fn voted(&mut self, line: &'a LogLine) -> Option<String> {
        Some(match &line.event {
            LogEvent::DecisionMade { name, words, .. } => format!("`{name}`: {words}"),
            LogEvent::DecisionStalled { key, missing, .. } => {
                let missing: Vec<String> = missing.iter().map(|it| self.story.voter(it)).collect();
                format!("`{}` waits for the votes of {}", self.story.name(key), missing.join(", "))
            }
            LogEvent::VoterLied { who, .. } => return self.lied(who),
            _ => return None,
        })
    }

    /// Told once: all voters learn it.
    fn lied(&mut self, who: &'a str) -> Option<String> {
        let is_first = self.notices.insert(who, 1).is_none();
        is_first.then(|| format!("{} LIED as a voter: proven", self.story.voter(who)))
    }

    /// Told once: all peers learn the same.
    fn proved(&mut self, tasks: u64, excluded: &[String]) -> Option<String> {
        if self.notices.insert("verdict", 1).is_some() {
            return None;
        }
        let tasks = thousands(tasks);
        Some(if excluded.is_empty() {
            format!("sealed and proved: {tasks} tasks")
        } else {
            format!("sealed and proved: {tasks} tasks, without {}", excluded.join(", "))
        })
    }

    /// The first peer that notices a death is told, and how long the last one took.
    fn notice(&mut self, line: &'a LogLine, who: &'a str, reason: &str) -> Option<String> {
        let seen = self.notices.entry(who).or_default();
        *seen += 1;
        if *seen > 1 {
            return None;
        }
        let of_life = |other: &&LogLine| matches!(&other.event, LogEvent::PeerDown { who: other, .. } if other == who);
        let all: BTreeMap<&str, u64> = self
            .story
            .lines
            .iter()
            .filter(of_life)
            .map(|it| (it.peer.as_str(), it.at_us))
            .collect();
        let last = all.values().max().copied().unwrap_or(line.at_us);
        let (who, at) = (self.story.peer(who), self.story.peer(&line.peer));
        let spread = show_ms((last - line.at_us) / 1_000);
        Some(match reason {
            "left" => format!("{who} said goodbye; {} know", peers(all.len())),
            _ => format!(
                "{at} noticed that {who} is gone ({reason}); {} knew within {spread}",
                peers(all.len())
            ),
        })
    }
}

fn peers(count: usize) -> String {
    if count == 1 { "1 peer".to_owned() } else { format!("{count} peers") }
}

fn failures(story: &Story<'_>) -> String {
    let mut lines = Vec::new();
    let mut seen = BTreeSet::new();
    for line in story.lines {
        let LogEvent::TaskFinished { key, outcome, detail, .. } = &line.event else { continue };
        if outcome != "ok" && seen.insert(key) {
            let path = story.path(key);
            lines.push(format!(
                "  {path}: {outcome} at {}: {}\n",
                story.peer(&line.peer),
                cut(detail)
            ));
        }
    }
    listed("did not end well", &lines)
}

/// Tasks without a result whose own children are all done: what everybody else waits for.
fn open(story: &Story<'_>) -> String {
    let decided = story.lines.iter().any(|line| matches!(line.event, LogEvent::JobComplete { .. }));
    if decided {
        return String::new();
    }
    let is_open = |key: &&str| !matches!(story.states.get(*key), Some(State::Done { .. }));
    let waiting: BTreeSet<&str> =
        story.owners.iter().filter(|(key, _)| is_open(key)).map(|(_, owner)| *owner).collect();
    let last_us = story.lines.last().map_or(0, |line| line.at_us);
    let mut lines = Vec::new();
    for (key, state) in &story.states {
        if waiting.contains(key) || !story.owners.contains_key(key) {
            continue;
        }
        let where_it_is = match state {
            State::Done { .. } => continue,
            State::Spawned => "no place was found yet".to_owned(),
            State::Placed { who } => format!("queued at {}", story.peer(who)),
            State::Unplaceable { missing } => {
                format!("no live peer has {}", missing.join(", "))
            }
            State::Running { at, since_us } => {
                format!(
                    "running at {} for {}",
                    story.peer(at),
                    show_ms((last_us - since_us) / 1_000)
                )
            }
            State::Finished { at } => {
                format!("ended at {}, its result had not arrived", story.peer(at))
            }
        };
        lines.push(format!("  {}: {where_it_is}\n", story.path(key)));
    }
    listed("left open; everything above them waited for", &lines)
}

fn listed(what: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut out = format!("{} {what}:\n", thousands(lines.len() as u64));
    out.extend(lines.iter().take(LISTED_MAX).map(String::as_str));
    if lines.len() > LISTED_MAX {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  ... and {} more", thousands((lines.len() - LISTED_MAX) as u64));
    }
    out
}
