use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic::{Capability, Client, ClientJob, LogEvent};
use formic_completion::Verdict;
use tokio::time::{Instant, interval, sleep};

use super::{
    chaos::{self, Chaos},
    cuts::{Change, Cuts},
    journal::Journal,
    progress::Progress,
};
use crate::{
    args::RunArgs,
    exit::Exit,
    fleet::{self, Fleet},
    host::Spec,
    link,
};

/// How often kills, deaths and the log are looked at.
const TICK: Duration = Duration::from_millis(20);
/// A verdict may be on its way when the quorum is seen to be gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Ending {
    Over(Arc<Verdict>),
    Interrupted,
    Timeout,
    NoPeerLeft,
    NoQuorum { alive: usize, of: usize },
    Nobody { task: String, missing: String },
    Lost(String),
}

impl Ending {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Over(_) => Exit::Ok,
            Self::Interrupted => Exit::Interrupted,
            Self::Timeout => Exit::Timeout,
            Self::NoPeerLeft | Self::NoQuorum { .. } | Self::Lost(_) => Exit::NoQuorum,
            Self::Nobody { .. } => Exit::NoPeer,
        }
    }
}

/// Looks after a job while it runs: chaos, deaths, progress.
pub(crate) struct Watch<'a> {
    specs: &'a [Spec],
    journal: &'a mut Journal,
    chaos: Chaos,
    cuts: Cuts,
    job: &'a ClientJob,
    progress: Progress,
    accepted: Instant,
    deadline: Option<Instant>,
    /// Lives by process id, or by the first digits of the peer.
    lives: BTreeMap<u32, String>,
    /// The newest home group that was written of: how many came before it, and its peers' first digits.
    home: (u64, Vec<String>),
    /// What tasks that nobody can do are missing.
    waiting: BTreeMap<String, Vec<String>>,
    names: BTreeMap<String, String>,
    informed: BTreeSet<String>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        args: &RunArgs,
        specs: &'a [Spec],
        journal: &'a mut Journal,
        ((chaos, cuts), job): ((Chaos, Cuts), &'a ClientJob),
        left: Option<Duration>,
    ) -> Self {
        let accepted = Instant::now();
        Self {
            specs,
            journal,
            chaos,
            cuts,
            job,
            progress: Progress::new(args),
            accepted,
            deadline: left.map(|left| accepted + left),
            lives: BTreeMap::new(),
            home: (0, job.home.iter().map(|life| life.peer.short()).collect()),
            waiting: BTreeMap::new(),
            names: BTreeMap::new(),
            informed: BTreeSet::new(),
        }
    }

    /// Cancel-safe: a dropped call leaves the job as it is.
    pub(crate) async fn until_over(&mut self, fleet: &mut Fleet, client: &Client) -> Ending {
        let job = self.job;
        let mut wait = core::pin::pin!(client.wait(job));
        let mut tick = interval(TICK);
        loop {
            tokio::select! {
                verdict = &mut wait => return match verdict {
                    Ok(verdict) => Ending::Over(verdict),
                    Err(error) => Ending::Lost(link::chain(&error)),
                },
                _ = tick.tick() => {}
            }
            for change in self.cuts.due(self.accepted.elapsed()) {
                self.cut(fleet, change).await;
            }
            let Some(ending) = self.look(fleet) else { continue };
            let last_words =
                if matches!(ending, Ending::Timeout) { Duration::ZERO } else { LAST_WORDS };
            return tokio::select! {
                Ok(verdict) = &mut wait => Ending::Over(verdict),
                () = sleep(last_words) => ending,
            };
        }
    }

    /// Until every live peer has written that it knows the verdict. Cancel-safe.
    pub(crate) async fn until_known(&mut self, fleet: &mut Fleet) {
        let mut tick = interval(TICK);
        loop {
            let alive = fleet.alive();
            self.read(alive.len());
            let life = |index: &usize| self.life(fleet, *index);
            if alive.iter().all(|index| life(index).is_some_and(|it| self.informed.contains(&it))) {
                return;
            }
            tick.tick().await;
        }
    }

    /// `--kill` flags whose time did not come.
    pub(crate) fn kills_left(&self) -> usize {
        self.chaos.left()
    }

    pub(crate) fn close(&self) {
        self.progress.close();
    }

    async fn cut(&mut self, fleet: &mut Fleet, change: Change) {
        match change {
            Change::Cut { side } => {
                let who = side.iter().map(|it| self.life(fleet, *it).unwrap_or_default()).collect();
                fleet.cut(&side).await;
                self.journal.write(LogEvent::ChaosCut { who });
            }
            Change::Heal => {
                fleet.cut(&[]).await;
                self.journal.write(LogEvent::ChaosHeal {});
            }
        }
    }

    /// One look at everything; an ending if the job can never end by itself.
    fn look(&mut self, fleet: &mut Fleet) -> Option<Ending> {
        let alive = fleet.alive();
        self.read(alive.len());
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Some(Ending::Timeout);
        }
        let home = self.home_indexes(fleet);
        for victim in self.chaos.due(self.accepted.elapsed(), &alive, &home) {
            let who = self.life(fleet, victim).unwrap_or_default();
            let pid = fleet.pid(victim);
            fleet.kill(victim);
            self.journal.write(LogEvent::ChaosKill { who, pid });
        }
        let alive = fleet.alive();
        if alive.is_empty() {
            return Some(Ending::NoPeerLeft);
        }
        if !chaos::has_quorum(&alive, &home) {
            let left = home.iter().flatten().filter(|index| alive.contains(index)).count();
            return Some(Ending::NoQuorum { alive: left, of: home.len() });
        }
        self.hopeless(&alive)
    }

    fn read(&mut self, alive: usize) {
        let job = self.job.job.to_string();
        let news = self.journal.news();
        for line in news {
            match &line.event {
                LogEvent::PeerStarted { pid, .. } => {
                    self.lives.insert(*pid, line.peer.clone());
                }
                LogEvent::PeerReborn { was } => {
                    let renamed = self.lives.values_mut().filter(|life| *life == was);
                    renamed.for_each(|life| life.clone_from(&line.peer));
                }
                LogEvent::TaskSpawned { key, name, .. } => {
                    self.names.insert(key.clone(), name.clone());
                }
                LogEvent::TaskUnplaceable { key, missing, .. } => {
                    self.waiting.insert(key.clone(), missing.clone());
                }
                LogEvent::TaskPlaced { key, .. } => {
                    self.waiting.remove(key);
                }
                LogEvent::HomeChanged { job: of, generation, home }
                    if *of == job && self.home.0 < *generation =>
                {
                    let peer = |life: &String| life.split('.').next().map(str::to_owned);
                    self.home = (*generation, home.iter().filter_map(peer).collect());
                }
                LogEvent::JobVerdict { job: of, .. } if *of == job => {
                    self.informed.insert(line.peer.clone());
                }
                _ => {}
            }
        }
        self.progress.show(news, alive);
    }

    fn life(&self, fleet: &Fleet, index: usize) -> Option<String> {
        match fleet {
            Fleet::Memory(_) => fleet.life(index),
            Fleet::Quic(_) => self.lives.get(&fleet.pid(index)).cloned(),
        }
    }

    fn home_indexes(&self, fleet: &Fleet) -> Vec<Option<usize>> {
        let of_peer = |peer: &String| {
            (0..self.specs.len()).find(|index| {
                fleet.life(*index).is_some_and(|life| life.split('.').next() == Some(peer.as_str()))
            })
        };
        self.home.1.iter().map(of_peer).collect()
    }

    /// Newcomers cannot help: these peers are all there will be.
    fn hopeless(&self, alive: &[usize]) -> Option<Ending> {
        let (key, missing) = self.waiting.iter().find(|(_, missing)| {
            let missing: Vec<Capability> =
                missing.iter().filter_map(|it| it.parse().ok()).collect();
            !fleet::can(self.specs, alive, &missing)
        })?;
        let task = self.names.get(key).cloned().unwrap_or_else(|| key.clone());
        Some(Ending::Nobody { task, missing: missing.join(", ") })
    }
}
