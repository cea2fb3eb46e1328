use std::collections::BTreeMap;

use formic::{LogEvent, LogLine};

/// An event log with an index of who and what.
#[derive(Debug)]
pub(crate) struct Story<'a> {
    pub(crate) lines: &'a [LogLine],
    /// The last job that the log knows.
    pub(crate) job: Option<&'a str>,
    names: BTreeMap<&'a str, &'a str>,
    peers: BTreeMap<&'a str, &'a str>,
    /// Owner of each task.
    pub(crate) owners: BTreeMap<&'a str, &'a str>,
    /// Last known state of each task.
    pub(crate) states: BTreeMap<&'a str, State<'a>>,
}

/// Where a task is, as the log last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State<'a> {
    Spawned,
    Placed {
        who: &'a str,
    },
    Unplaceable {
        missing: &'a [String],
    },
    Running {
        at: &'a str,
        since_us: u64,
    },
    /// Its body ended, but its result did not reach who waits for it.
    Finished {
        at: &'a str,
    },
    Done {
        by: &'a str,
        outcome: &'a str,
    },
}

impl<'a> Story<'a> {
    pub(crate) fn of(lines: &'a [LogLine]) -> Self {
        let mut story = Self {
            lines,
            job: None,
            names: BTreeMap::new(),
            peers: BTreeMap::new(),
            owners: BTreeMap::new(),
            states: BTreeMap::new(),
        };
        for line in lines {
            story.learn(line);
        }
        story
    }

    fn learn(&mut self, line: &'a LogLine) {
        match &line.event {
            LogEvent::PeerStarted { name, .. } => {
                self.peers.insert(&line.peer, name);
            }
            LogEvent::PeerUp { who, name } => {
                self.peers.entry(who).or_insert(name);
            }
            LogEvent::JobAccepted { job, .. } | LogEvent::JobResumed { job } => {
                self.job = Some(job);
            }
            LogEvent::TaskSpawned { owner, key, name, .. } => {
                self.names.insert(key, name);
                self.owners.insert(key, owner);
                self.states.entry(key).or_insert(State::Spawned);
            }
            LogEvent::TaskPlaced { key, who, .. } => self.set(key, State::Placed { who }),
            LogEvent::TaskUnplaceable { key, missing, .. } => {
                self.set(key, State::Unplaceable { missing });
            }
            LogEvent::TaskStarted { job, key, .. } => {
                // The log of one peer may know a job that another one accepted.
                self.job = self.job.or(Some(job));
                self.set(key, State::Running { at: &line.peer, since_us: line.at_us });
            }
            LogEvent::TaskFinished { key, .. } => self.set(key, State::Finished { at: &line.peer }),
            LogEvent::TaskDone { key, by, outcome, .. } => {
                self.set(key, State::Done { by, outcome });
            }
            _ => {}
        }
    }

    fn set(&mut self, key: &'a str, state: State<'a>) {
        // Done is a fact: later copies of the task change nothing.
        if !matches!(self.states.get(key), Some(State::Done { .. })) {
            self.states.insert(key, state);
        }
    }

    /// A task's name; of the root, which nobody spawned, `the plan`.
    pub(crate) fn name(&self, key: &str) -> &'a str {
        self.names.get(key).copied().unwrap_or("the plan")
    }

    /// `NAME (LIFE)`, or the life alone.
    pub(crate) fn peer(&self, life: &str) -> String {
        match self.peers.get(life) {
            Some(name) => format!("{name} ({life})"),
            None if life == "-" => "this command".to_owned(),
            None => life.to_owned(),
        }
    }

    /// `NAME (first digits)` of a voter, whichever of its lives.
    pub(crate) fn voter(&self, peer: &str) -> String {
        let short = peer.get(..8).unwrap_or(peer);
        let known = self.peers.iter().find(|(life, _)| life.starts_with(short));
        known.map_or_else(|| short.to_owned(), |(_, name)| format!("{name} ({short})"))
    }

    /// Tasks whose id begins with `what`, or whose name is `what`.
    pub(crate) fn find(&self, what: &str) -> Vec<&'a str> {
        let known = self.states.keys().copied();
        known
            .filter(|key| self.name(key) == what || (what.len() >= 4 && key.starts_with(what)))
            .collect()
    }

    /// `outermost > ... > task`, without the plan itself, and without owners whose name begins the name of what they
    /// spawned, as folders do.
    pub(crate) fn path(&self, key: &'a str) -> String {
        let mut path = vec![self.name(key)];
        let mut at = key;
        while let Some(owner) = self.owners.get(at).filter(|owner| self.owners.contains_key(*owner))
        {
            let name = self.name(owner);
            if !path.last().is_some_and(|inner| inner.starts_with(name)) {
                path.push(name);
            }
            at = owner;
        }
        path.reverse();
        path.join(" > ")
    }
}

/// `  1.234 s  TEXT`.
pub(crate) fn stamp(at_us: u64, text: &str) -> String {
    let ms = at_us / 1_000;
    format!("{:>6}.{:03} s  {text}\n", ms / 1_000, ms % 1_000)
}
