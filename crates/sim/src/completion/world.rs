//! The world: one queue of events, machines, disks, links, bodies.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_completion::{Attestation, Completion, Config, Effect, Input, JobSpec, Message, Record};
use formic_core::{Digest, Incarnation, JobId, Key, Life, PeerId, Protocol, Time, mix};

use super::{
    Report,
    bodies::{self, Script},
    plan::Plan,
    views::Views,
};
use crate::{
    Draw, Truth, Violation,
    engine::{Detail, Queue, Trace, Watch},
    oracles::{acked_not_lost, nothing_hangs, quiet_is_quiet, respawned_in_time},
};

/// After the calm, everything has to be over within this virtual time.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(super) enum What {
    Start {
        peer: usize,
    },
    Submit,
    Cancel,
    Fault {
        number: usize,
    },
    Burn {
        life: Life,
        number: usize,
    },
    Calm,
    Thaw {
        peer: usize,
    },
    Deliver {
        from: Life,
        to: Life,
        message: Message,
    },
    Attested {
        to: Life,
        statement: Digest,
        attestation: Attestation,
    },
    Up {
        observer: Life,
        life: Life,
    },
    Down {
        observer: Life,
        life: Life,
    },
    /// Members decide on a view with those that started, without those that ended.
    Commit,
    /// One of them hears of it.
    View {
        observer: Life,
        epoch: u64,
        lives: Arc<[Life]>,
    },
    Wake {
        life: Life,
    },
    Step {
        life: Life,
        key: Key,
        run: usize,
        index: usize,
    },
    End {
        life: Life,
        key: Key,
        run: usize,
    },
    Placed {
        to: Life,
        key: Key,
        attempt: u16,
        life: Life,
    },
}

pub(super) struct Body {
    pub(super) script: Script,
    pub(super) run: usize,
    pub(super) waits: BTreeSet<Key>,
    pub(super) told: BTreeSet<Key>,
    pub(super) ended: bool,
}

pub(super) struct Host {
    pub(super) life: Life,
    pub(super) alive: bool,
    pub(super) frozen_until: Time,
    pub(super) machine: Completion,
    pub(super) disk: Vec<Record>,
    pub(super) bodies: BTreeMap<Key, Body>,
    wake: Option<Time>,
    /// The newest view it was told.
    pub(super) epoch: u64,
    /// Dies after so many more effects: the number of the fault.
    pub(super) fuse: Option<(usize, usize)>,
}

impl Host {
    pub(super) const fn has_started(&self) -> bool {
        self.life.incarnation.0 > 0
    }
}

pub(super) struct World<'a> {
    pub(super) draw: Draw,
    pub(super) plan: &'a Plan,
    pub(super) hosts: Vec<Host>,
    pub(super) now: Time,
    queue: Queue<What>,
    seed: u64,
    pub(super) job: JobId,
    pub(super) spec: Arc<JobSpec>,
    pub(super) truth: Truth,
    pub(super) report: Report,
    /// Messages so far on each link.
    sent: BTreeMap<(Life, Life), u64>,
    /// What the detector told last: who to whom, and whether it was "up".
    pub(super) told: BTreeMap<(Life, Life), bool>,
    /// Who was told of whom as up.
    pub(super) met: BTreeSet<(Life, Life)>,
    /// Statements, and the members their author had met when it made them.
    pub(super) stated: BTreeMap<Digest, Vec<Life>>,
    pub(super) views: Views,
    /// Of the newest home group that anybody ever knew.
    pub(super) generation: usize,
    /// Whether the fault that waits for `Complete` has struck.
    pub(super) struck: bool,
    print: u64,
    trace: Trace,
}

pub(super) fn life(peer: usize, incarnation: u64) -> Life {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&mix(peer as u64 + 1).to_be_bytes());
    bytes[24..].copy_from_slice(&(peer as u64).to_be_bytes());
    Life::new(PeerId::from_bytes(bytes), Incarnation(incarnation))
}

pub(super) fn index(life: Life) -> usize {
    let tail = life.peer.as_bytes().last_chunk().map_or(0, |tail| u64::from_be_bytes(*tail));
    usize::try_from(tail).unwrap_or(0)
}

pub(super) type Checked = Result<(), Violation>;

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, plan: &'a Plan, watch: Watch) -> Self {
        let job = JobId::derive(life(0, 1), seed);
        let host = |peer| Host {
            life: life(peer, 0),
            alive: false,
            frozen_until: Time::ZERO,
            machine: Completion::new(Config::default(), life(peer, 0), job),
            disk: vec![],
            bodies: BTreeMap::new(),
            wake: None,
            epoch: 0,
            fuse: None,
        };
        let root = bodies::descriptor(0, 0);
        let plan_digest = Digest::of(&[b"plan"]);
        let home: Vec<Life> = (0..plan.home).map(|peer| life(peer, 1)).collect();
        let mut world = Self {
            draw: Draw::new(seed),
            plan,
            hosts: (0..plan.peers).map(host).collect(),
            now: Time::ZERO,
            queue: Queue::new(),
            seed,
            job,
            spec: Arc::new(JobSpec { job, root, plan: plan_digest, home }),
            truth: Truth::default(),
            report: Report { seeds: 1, ..Report::default() },
            sent: BTreeMap::new(),
            told: BTreeMap::new(),
            met: BTreeSet::new(),
            stated: BTreeMap::new(),
            views: Views::default(),
            generation: 0,
            struck: false,
            print: seed,
            trace: Trace::new(watch),
        };
        for (peer, at) in plan.start.iter().enumerate() {
            world.at(*at, What::Start { peer });
        }
        world.at(Time::from_us(2_000), What::Submit);
        for (number, (at, _)) in plan.faults.iter().enumerate() {
            if plan.at_complete.is_some_and(|(waits, _)| waits == number) {
                continue;
            }
            world.at(*at + Duration::from_millis(2), What::Fault { number });
        }
        if let Some(at) = plan.cancel {
            world.at(at, What::Cancel);
        }
        world.at(plan.calm, What::Calm);
        world
    }

    pub(super) fn at(&mut self, at: Time, what: What) {
        self.queue.push(at, what);
    }

    pub(super) fn after(&mut self, us: u64, what: What) {
        self.at(self.now + Duration::from_micros(us), what);
    }

    pub(super) fn violation(&self, oracle: &'static str, what: String) -> Violation {
        let trace = self.trace.lines();
        Violation { seed: self.seed, oracle, at: self.now, what, trace }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.note(self.now, (Detail::Full, None), line);
    }

    pub(super) fn run(mut self) -> Result<(Report, Digest), Violation> {
        let limit = self.plan.calm + PATIENCE;
        while let Some((at, what)) = self.queue.pop() {
            if at > limit {
                break;
            }
            self.now = at;
            self.step(what)?;
        }
        self.finish()?;
        Ok((self.report, Digest::of(&[&self.print.to_be_bytes()])))
    }

    fn finish(&mut self) -> Checked {
        self.report.tasks = self.truth.executions.len() as u64;
        self.report.executions = self.truth.executions.values().map(|all| all.len() as u64).sum();
        self.report.closed = self.truth.verdicts.len() as u64;
        self.report.virtual_time = self.now.since(Time::ZERO);
        if self.truth.verdicts.is_empty() && !self.could_decide() {
            self.report.waived = 1;
            return Ok(());
        }
        let last = |host: &Host| nothing_hangs::Last {
            life: host.life,
            closed: host.machine.is_closed(),
            deadline: host.machine.deadline(),
        };
        // Where every life that knew the verdict died for good, nobody is left to tell.
        let knows = |host: &&Host| host.alive && host.machine.is_closed();
        let told = self.truth.verdicts.is_empty()
            || self.hosts.iter().any(|host| knows(&host) && !host.disk.is_empty());
        let alive: Vec<_> = self.hosts.iter().filter(|host| host.alive).map(last).collect();
        self.report.untold = u64::from(!told);
        if told {
            nothing_hangs::at_end(&alive).map_err(|what| self.violation("nothing_hangs", what))?;
        }
        acked_not_lost::at_end(&self.truth)
            .map_err(|what| self.violation("acked_not_lost", what))?;
        let quiet = self.plan.faults.is_empty() && self.plan.loss + self.plan.late == 0;
        if quiet && self.plan.cancel.is_none() {
            let truth = &self.truth;
            self.report.to_complete.add(Some(truth.last_end), truth.complete);
            self.report.to_verdict.add(truth.complete, truth.first_verdict);
            // Who joins later than the verdict cannot know it before.
            if truth.first_verdict.is_some_and(|at| self.plan.start.iter().all(|start| *start < at))
            {
                self.report.to_all.add(truth.first_verdict, truth.last_verdict);
            }
        }
        Ok(())
    }

    /// The host of a life that still lives; a frozen one gets the event when it thaws.
    fn host_of(&mut self, life: Life, what: &What) -> Option<usize> {
        let peer = index(life);
        let host = self.hosts.get(peer)?;
        if !host.alive || host.life != life {
            return None;
        }
        if host.frozen_until > self.now {
            let at = host.frozen_until;
            self.at(at, what.clone());
            return None;
        }
        Some(peer)
    }

    fn step(&mut self, what: What) -> Checked {
        match &what {
            What::Start { peer } => self.start(*peer),
            What::Submit => {
                let what = What::Submit;
                let Some(peer) = self.host_of(life(0, 1), &what) else { return Ok(()) };
                self.feed(peer, Input::Submit { spec: Arc::clone(&self.spec) })
            }
            What::Cancel => {
                let peer = (0..self.hosts.len()).find(|peer| self.keeps_home(*peer));
                let reason = "people".to_owned();
                peer.map_or(Ok(()), |peer| self.feed(peer, Input::Cancel { reason }))
            }
            What::Fault { number } => self.fault(*number),
            What::Burn { life, number } => self.burn(*life, *number),
            What::Calm => {
                self.calm();
                Ok(())
            }
            What::Thaw { peer } => {
                self.hosts[*peer].frozen_until = Time::ZERO;
                Ok(())
            }
            What::Deliver { to, .. } | What::Attested { to, .. } | What::Placed { to, .. } => {
                self.for_host(*to, &what)
            }
            What::Up { observer, life } if !self.is_alive(*life) => {
                let _ = observer;
                Ok(())
            }
            What::Commit => {
                self.commit();
                Ok(())
            }
            What::Up { observer, .. }
            | What::Down { observer, .. }
            | What::View { observer, .. } => self.for_host(*observer, &what),
            What::Wake { life } | What::Step { life, .. } | What::End { life, .. } => {
                self.for_host(*life, &what)
            }
        }
    }

    pub(super) fn is_alive(&self, life: Life) -> bool {
        self.hosts.get(index(life)).is_some_and(|host| host.alive && host.life == life)
    }

    fn keeps_home(&self, peer: usize) -> bool {
        let host = &self.hosts[peer];
        host.alive && host.frozen_until <= self.now && host.machine.rank().is_some()
    }

    fn for_host(&mut self, life: Life, what: &What) -> Checked {
        let Some(peer) = self.host_of(life, what) else { return Ok(()) };
        match what.clone() {
            What::Deliver { from, message, .. } => {
                self.feed(peer, Input::Message { from, message })
            }
            What::Attested { statement, attestation, .. } => {
                self.feed(peer, Input::Attested { statement, attestation })
            }
            What::Placed { key, attempt, life, .. } => {
                self.feed(peer, Input::Placed { key, attempt, life })
            }
            What::Up { observer, life } => {
                self.told.insert((observer, life), true);
                self.met.insert((observer, life));
                self.feed(peer, Input::Up { life })
            }
            What::Down { observer, life } => {
                let news = self.told.insert((observer, life), false) == Some(true);
                self.feed(peer, Input::Down { life })?;
                // Said twice it is no news; what was placed there in between waits for T15.
                if news { self.check_respawned(peer, (observer, life)) } else { Ok(()) }
            }
            What::View { epoch, lives, .. } => {
                if self.hosts[peer].epoch >= epoch {
                    return Ok(());
                }
                self.hosts[peer].epoch = epoch;
                self.feed(peer, Input::Members { lives })
            }
            What::Wake { .. } => {
                // An earlier wake took the place of this one.
                if self.hosts[peer].wake.is_none_or(|at| at > self.now) {
                    return Ok(());
                }
                self.hosts[peer].wake = None;
                self.feed(peer, Input::Deadline)
            }
            What::Step { key, run, index, .. } => self.spawn(peer, (key, run), index),
            What::End { key, run, .. } => {
                let body = self.hosts[peer].bodies.get_mut(&key).filter(|body| body.run == run);
                if let Some(body) = body {
                    body.ended = true;
                    self.try_end(peer, key)?;
                }
                Ok(())
            }
            What::Start { .. }
            | What::Submit
            | What::Cancel
            | What::Fault { .. }
            | What::Burn { .. }
            | What::Calm
            | What::Commit
            | What::Thaw { .. } => Ok(()),
        }
    }

    fn check_respawned(&self, peer: usize, (observer, dead): (Life, Life)) -> Checked {
        if !self.is_alive(observer) {
            return Ok(());
        }
        respawned_in_time::at_down(&self.hosts[peer].machine, dead)
            .map_err(|what| self.violation("respawned_in_time", what))
    }

    fn start(&mut self, peer: usize) -> Checked {
        let host = &mut self.hosts[peer];
        host.life.incarnation = host.life.incarnation.next();
        host.alive = true;
        host.frozen_until = Time::ZERO;
        host.wake = None;
        host.epoch = 0;
        host.fuse = None;
        host.machine = Completion::new(Config::default(), host.life, self.job);
        let records = host.disk.clone();
        let born = host.life;
        self.report.restarts += u64::from(born.incarnation.0 > 1);
        self.note(|| format!("{born} starts with {} records", records.len()));
        if !records.is_empty() {
            self.feed(peer, Input::Restore { records })?;
        }
        self.meet(born);
        self.plan_commit(born, (5_000, 200_000));
        Ok(())
    }

    /// Feeds one input; an honest peer refuses nothing that honest peers do.
    pub(super) fn feed(&mut self, peer: usize, input: Input) -> Checked {
        let life = self.hosts[peer].life;
        self.note(|| format!("{life} <- {}", brief(&input)));
        let mut out = Vec::new();
        let result = self.hosts[peer].machine.handle(self.now, input, &mut out);
        if let Err(error) = result {
            return Err(self.violation("blame_is_just", format!("{life} refuses: {error}")));
        }
        self.print =
            mix(self.print ^ mix(self.now.as_us() ^ (peer as u64) << 40) ^ out.len() as u64);
        if self.print.is_multiple_of(16) {
            self.hosts[peer].machine.check();
        }
        for effect in out {
            match self.hosts[peer].fuse {
                Some((0, number)) => return self.burn(life, number),
                Some((left, number)) => self.hosts[peer].fuse = Some((left - 1, number)),
                None => {}
            }
            self.apply(peer, effect)?;
            if !self.is_alive(life) {
                return Ok(());
            }
        }
        self.schedule_wake(peer);
        Ok(())
    }

    fn schedule_wake(&mut self, peer: usize) {
        let host = &mut self.hosts[peer];
        let Some(at) = host.machine.deadline() else { return };
        if host.wake.is_none_or(|wake| wake > at) {
            let life = host.life;
            host.wake = Some(at);
            self.at(at.max(self.now + Duration::from_micros(1)), What::Wake { life });
        }
    }

    fn apply(&mut self, peer: usize, effect: Effect) -> Checked {
        let from = self.hosts[peer].life;
        match effect {
            Effect::Persist(record) => self.hosts[peer].disk.push(record),
            Effect::Send { to, message } => {
                self.report.work += u64::from(matches!(message, Message::Work { .. }));
                self.link(from, to, &|to| What::Deliver { from, to, message: message.clone() });
            }
            Effect::Place { key, attempt, avoid, .. } => self.place(from, key, attempt, avoid),
            Effect::Unplace { .. } => {}
            Effect::Execute { key, attempt: _, descriptor, root } => {
                quiet_is_quiet::at_execute(&self.hosts[peer].machine, from, key)
                    .map_err(|what| self.violation("quiet_is_quiet", what))?;
                if root {
                    self.truth.root = Some(key);
                }
                self.execute(peer, key, &descriptor);
            }
            Effect::Abort { key } => {
                self.hosts[peer].bodies.remove(&key);
                self.truth.running.remove(&(from, key));
            }
            Effect::Sign { to, statement } => {
                if to == from && !self.stated.contains_key(&statement) {
                    let met = self.met_by(from);
                    self.stated.insert(statement, met);
                }
                let signature = statement.as_bytes().to_vec();
                let attestation = Attestation { signer: from, public_key: vec![], signature };
                let signed =
                    |to| What::Attested { to, statement, attestation: attestation.clone() };
                if to == from {
                    let what = signed(to);
                    self.after(1, what);
                } else {
                    self.link(from, to, &signed);
                }
            }
            Effect::Event(event) => self.event(peer, event)?,
        }
        Ok(())
    }

    /// A link: loses, doubles, delays.
    fn link(&mut self, from: Life, to: Life, what: &dyn Fn(Life) -> What) {
        self.report.messages += 1;
        // A message's draws depend on its link alone: what others say changes nothing for it.
        let number = self.sent.entry((from, to)).or_default();
        *number += 1;
        let (from_peer, to_peer) = (index(from) as u64, index(to) as u64);
        let link = from_peer << 32 | to_peer;
        let id = [link, from.incarnation.0 << 32 | to.incarnation.0, *number, 0];
        if self.draw.chance("loss", &id, self.plan.loss) {
            self.note(|| format!("{from} -> {to} lost"));
            return;
        }
        let copies = 1 + u64::from(self.draw.chance("doubled", &id, self.plan.doubled));
        for copy in 0..copies {
            let id = [id[0], id[1], id[2], copy];
            let late = self.draw.chance("late", &id, self.plan.late);
            let extra = if late { self.draw.below("lateness", &id, 60_000) } else { 0 };
            let delay = 500 + self.draw.below("delay", &id, 1_000) + extra;
            self.after(delay, what(to));
        }
    }

    fn place(&mut self, asker: Life, key: Key, attempt: u16, avoid: Option<Life>) {
        let number = bodies::number(key);
        let chosen = |round: u64| {
            let what = [number, u64::from(attempt), round, asker.incarnation.0];
            let peer = self.draw.index("place", &what, self.hosts.len());
            let host = &self.hosts[peer];
            let good = host.alive && Some(host.life) != avoid && host.frozen_until <= self.now;
            // Sometimes the chosen one has just died.
            let unlucky = self.now < self.plan.calm && self.draw.chance("unlucky", &what, 100);
            (good || host.has_started() && unlucky).then_some(host.life)
        };
        let mut places = (0..12).filter_map(chosen);
        let (first, second) = (places.next().unwrap_or(asker), places.next());
        let delay = self.draw.below("placing", &[number, u64::from(attempt)], 1_000);
        self.after(delay, What::Placed { to: asker, key, attempt, life: first });
        let moves = self.draw.chance("moved", &[number, u64::from(attempt)], self.plan.moved);
        if let (Some(life), true) = (second, moves) {
            self.after(delay + 3_000, What::Placed { to: asker, key, attempt, life });
        }
    }
}

fn brief(input: &Input) -> String {
    let text = match input {
        Input::Message { from, message } => format!("{from}: {message:?}"),
        other => format!("{other:?}"),
    };
    text.chars().take(400).collect()
}
