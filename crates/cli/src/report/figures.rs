use std::collections::{BTreeMap, BTreeSet};

use formic::{LogEvent, LogLine};

use crate::decision;

use super::{
    Messages, Peers, Report, Tasks, Times,
    tree::{Tree, Winning},
};

/// Fills in what the log says.
pub(crate) fn figures(report: &mut Report, lines: &[LogLine], job: Option<&str>) {
    let of_job = job.unwrap_or("");
    let tree = Tree::of(lines, of_job);
    let winning = tree.winning();
    let start = lines.iter().rposition(|it| matches!(it.event, LogEvent::RunStarted { .. }));
    let recent = &lines[start.unwrap_or(0)..];
    let base_us = start.map_or(0, |start| lines[start].at_us);
    let kills = kills(recent);
    let log = Figures { lines, recent, base_us, job: of_job, root: tree.root(), kills };
    report.tasks = log.tasks(&winning, &tree);
    report.peers = log.peers();
    report.messages = log.messages();
    report.ms = log.times(&winning);
    report.validations = decision::of_log(lines, of_job);
    report.resumed = recent.iter().any(|line| matches!(line.event, LogEvent::JobResumed { .. }));
    for line in recent {
        if let LogEvent::RunStarted { transport, durable, seed, .. } = &line.event {
            report.transport.clone_from(transport);
            report.durable = Some(*durable);
            report.seed = Some(*seed);
        }
    }
}

struct Figures<'a> {
    /// All of the job: of a resumed one with the runs before.
    lines: &'a [LogLine],
    /// Of this command.
    recent: &'a [LogLine],
    /// When this command started.
    base_us: u64,
    job: &'a str,
    root: Option<&'a str>,
    /// When each killed life was killed.
    kills: BTreeMap<&'a str, u64>,
}

fn kills(lines: &[LogLine]) -> BTreeMap<&str, u64> {
    let mut kills = BTreeMap::new();
    for line in lines {
        if let LogEvent::ChaosKill { who, .. } = &line.event {
            kills.insert(who.as_str(), line.at_us);
        }
    }
    kills
}

impl<'a> Figures<'a> {
    /// Milliseconds since the command started.
    fn ms(&self, at_us: u64) -> u64 {
        at_us.saturating_sub(self.base_us) / 1_000
    }

    fn is_root(&self, key: &str) -> bool {
        self.root == Some(key)
    }

    /// Times, lives and keys of bodies of this job that started, the root's left out.
    fn started(&self) -> impl Iterator<Item = (u64, &'a str, u16)> {
        self.lines.iter().filter_map(|line| match &line.event {
            LogEvent::TaskStarted { job, key, attempt, .. }
                if job == self.job && !self.is_root(key) =>
            {
                Some((line.at_us, key.as_str(), *attempt))
            }
            _ => None,
        })
    }

    fn finished(&self) -> impl Iterator<Item = (u64, &'a str, &'a str)> {
        self.lines.iter().filter_map(|line| match &line.event {
            LogEvent::TaskFinished { job, key, .. } if job == self.job && !self.is_root(key) => {
                Some((line.at_us, line.peer.as_str(), key.as_str()))
            }
            _ => None,
        })
    }

    fn respawned(&self) -> impl Iterator<Item = (u64, &'a str, u16, &'a str)> {
        self.lines.iter().filter_map(|line| match &line.event {
            LogEvent::TaskRespawned { job, key, attempt, from } if job == self.job => {
                Some((line.at_us, key.as_str(), *attempt, from.as_str()))
            }
            _ => None,
        })
    }

    fn tasks(&self, winning: &Winning<'_>, tree: &Tree<'_>) -> Tasks {
        let ok = winning.tasks.values().filter(|(_, outcome)| *outcome == "ok").count() as u64;
        let known = winning.tasks.len() as u64;
        let finished: Vec<_> = self.finished().collect();
        let counted: BTreeSet<_> = finished
            .iter()
            .filter(|(_, life, key)| winning.tasks.get(key).is_some_and(|(by, _)| by == life))
            .map(|(_, life, key)| (*life, *key))
            .collect();
        let divergent = self.lines.iter().filter(
            |line| matches!(&line.event, LogEvent::TaskDivergent { job, .. } if job == self.job),
        );
        Tasks {
            total: Some(known + winning.lost.len() as u64),
            ok: Some(ok),
            failed: Some(known - ok),
            executions: Some(self.started().count() as u64),
            respawned: Some(self.respawned().count() as u64),
            duplicates: Some((finished.len() - counted.len()) as u64),
            // Before the result is decided every open task would look lost.
            lost: tree.is_decided().then_some(winning.lost.len() as u64),
            divergent_results: Some(divergent.count() as u64),
        }
    }

    fn lives(&self) -> BTreeMap<&'a str, &'a [String]> {
        let mut lives = BTreeMap::new();
        for line in self.recent {
            if let LogEvent::PeerStarted { capabilities, .. } = &line.event {
                lives.insert(line.peer.as_str(), capabilities.as_slice());
            }
        }
        lives
    }

    /// Lives that ended on their own before the job did.
    fn left(&self) -> BTreeSet<&'a str> {
        let over = |line: &&LogLine| !matches!(line.event, LogEvent::JobVerdict { .. });
        let before = self.recent.iter().take_while(over);
        before
            .filter(|line| matches!(line.event, LogEvent::PeerStopped {}))
            .map(|line| line.peer.as_str())
            .collect()
    }

    fn peers(&self) -> Peers {
        let lives = self.lives();
        let mut by_capability = BTreeMap::new();
        for capability in lives.values().copied().flatten() {
            *by_capability.entry(capability.clone()).or_default() += 1;
        }
        let left = self.left();
        let alive =
            lives.keys().filter(|life| !self.kills.contains_key(*life) && !left.contains(*life));
        Peers {
            started: Some(lives.len() as u64),
            killed: Some(self.kills.len() as u64),
            alive: Some(alive.count() as u64),
            by_capability,
        }
    }

    fn messages(&self) -> Messages {
        let mut last = BTreeMap::new();
        for line in self.recent {
            if let LogEvent::PeerCounters { work, control, probes } = line.event {
                last.insert(&line.peer, (work, control, probes));
            }
        }
        if last.is_empty() {
            return Messages::default();
        }
        Messages {
            work: Some(last.values().map(|(work, ..)| work).sum()),
            control: Some(last.values().map(|(_, control, _)| control).sum()),
            probes: Some(last.values().map(|(.., probes)| probes).sum()),
        }
    }

    fn first(&self, wanted: impl Fn(&LogEvent) -> bool) -> Option<u64> {
        self.recent.iter().find(|line| wanted(&line.event)).map(|line| self.ms(line.at_us))
    }

    fn times(&self, winning: &Winning<'_>) -> Times {
        let job = self.job;
        let counts =
            |life: &str, key: &str| winning.tasks.get(key).is_some_and(|(by, _)| *by == life);
        let last_body =
            self.finished().filter(|(_, life, key)| counts(life, key)).map(|(at, ..)| at);
        Times {
            spawn: self.spawn(),
            first_task: self
                .started()
                .map(|(at, ..)| at)
                .filter(|at| *at >= self.base_us)
                .map(|at| self.ms(at))
                .min(),
            last_body: last_body.filter(|at| *at >= self.base_us).map(|at| self.ms(at)).max(),
            complete: self
                .first(|it| matches!(it, LogEvent::JobComplete { job: of, .. } if of == job)),
            quiescent: self
                .first(|it| matches!(it, LogEvent::JobVerdict { job: of, .. } if of == job)),
            everyone_knows: self.everyone_knows(),
            detect_max: self.detect_max(),
            respawn_max: self.respawn_max(),
            total: self.recent.last().map(|line| self.ms(line.at_us)),
        }
    }

    /// When the last peer became a member, of those that were there before the job.
    fn spawn(&self) -> Option<u64> {
        let accepted = |line: &&LogLine| !matches!(&line.event, LogEvent::JobAccepted { job, .. } if job == self.job);
        let mut joined = BTreeMap::new();
        for line in self.recent.iter().take_while(accepted) {
            if matches!(line.event, LogEvent::PeerJoined { .. }) {
                joined.entry(&line.peer).or_insert(line.at_us);
            }
        }
        joined.values().copied().max().map(|at| self.ms(at))
    }

    fn everyone_knows(&self) -> Option<u64> {
        let mut knows = BTreeMap::new();
        for line in self.recent {
            if matches!(&line.event, LogEvent::JobVerdict { job, .. } if job == self.job) {
                knows.entry(line.peer.as_str()).or_insert(line.at_us);
            }
        }
        let left = self.left();
        let lives = self.lives();
        let mut alive =
            lives.keys().filter(|life| !self.kills.contains_key(*life) && !left.contains(*life));
        let all_know = alive.all(|life| knows.contains_key(life));
        if all_know { knows.values().copied().max().map(|at| self.ms(at)) } else { None }
    }

    fn detect_max(&self) -> Option<u64> {
        let mut seen: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for line in self.recent {
            if let LogEvent::PeerDown { who, .. } = &line.event
                && self.kills.contains_key(who.as_str())
                && !self.kills.contains_key(line.peer.as_str())
            {
                seen.entry((who, &line.peer)).or_insert(line.at_us);
            }
        }
        let delays = seen.iter().filter_map(|((who, _), at)| at.checked_sub(*self.kills.get(who)?));
        delays.max().map(|us| us / 1_000)
    }

    fn respawn_max(&self) -> Option<u64> {
        let mut started = BTreeMap::new();
        for (at, key, attempt) in self.started() {
            started.entry((key, attempt)).or_insert(at);
        }
        let delays = self.respawned().filter_map(|(_, key, attempt, from)| {
            started.get(&(key, attempt))?.checked_sub(*self.kills.get(from)?)
        });
        delays.max().map(|us| us / 1_000)
    }
}
