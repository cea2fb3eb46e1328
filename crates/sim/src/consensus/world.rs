use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_consensus::{
    Ballot, Certificate, Config, Consensus, DIMENSIONS, Effect, Electorate, Event, Evidence, Input,
    InstanceId, Member, Message, Outcome, Rank, Reason, Record, Roster, Seal, Standing, Statement,
    To, Value, Verdict, Vote, accuse, liars_max,
};
use formic_core::{Digest, Incarnation, Life, PeerId, Protocol as _, Time};

use super::{Lie, Report, keys::Key, liars::Liar, plan::Plan};
use crate::{
    Draw, Violation,
    engine::{Detail, Queue, Trace, Watch},
};

/// When a run ends: long after the network healed.
const END: Time = Time::from_us(60_000_000);
/// From the heal until all ballots came or were given up: before, a leader may have nothing to propose, and its
/// round passes. The deadline of a proposal that is opened at the heal, and time for timeouts to arrive.
const SETTLED: Duration = Duration::from_millis(1_700);
/// The longest way of a message after the network healed, in microseconds.
const CALM_US: u64 = 10_000;

#[derive(Clone, Debug)]
enum What {
    Deliver(usize, PeerId, Box<Message>),
    Input(usize, u64, Box<Input>),
    Wake(usize),
    Crash(usize),
    Restart(usize),
}

/// One running machine: an honest voter, a liar, or one of two twins.
#[derive(Clone, Debug)]
struct Host {
    rank: usize,
    machine: Option<Consensus>,
    disk: Vec<Record>,
    incarnation: u64,
    liar: Option<Liar>,
    /// Of twins: whose messages it hears, and who hears its.
    side: Option<bool>,
    sent: u64,
}

pub(super) struct World<'a> {
    draw: Draw,
    plan: &'a Plan,
    roster: Roster<Key>,
    hosts: Vec<Host>,
    queue: Queue<What>,
    now: Time,
    healed_round: BTreeMap<InstanceId, u64>,
    decided: BTreeMap<(InstanceId, usize), Value>,
    report: Report,
    trace: Trace,
    digest: Digest,
}

type Held<T> = Result<T, (&'static str, String)>;

const fn round_of(vote: &Vote) -> u64 {
    match vote {
        Vote::Notarize(round, _) | Vote::Finalize(round, _) | Vote::Nullify(round) => *round,
    }
}

fn peer(rank: usize) -> PeerId {
    let mut bytes = [0; 32];
    bytes[0] = u8::try_from(rank + 1).unwrap_or(u8::MAX);
    PeerId::from_bytes(bytes)
}

fn electorate(voters: usize) -> Result<Electorate, (&'static str, String)> {
    let member = |rank| Member {
        peer: peer(rank),
        scheme: 1,
        key: Digest::of(&[peer(rank).as_bytes()]),
        standing: Standing::default(),
    };
    let zero = Digest::from_bytes([0; 32]);
    let members = (0..voters).map(member).collect();
    Electorate::new(zero, (0, zero), 501, members).map_err(|error| ("plan", error.to_string()))
}

impl<'a> World<'a> {
    pub(super) fn run(
        seed: u64,
        plan: &'a Plan,
        watch: Watch,
    ) -> Result<(Report, Digest), Violation> {
        let started = Self::new(seed, plan, watch);
        let violation = |(oracle, what): (&'static str, String), at, trace| Violation {
            seed,
            oracle,
            at,
            what,
            trace,
        };
        let mut world = started.map_err(|broken| violation(broken, Time::ZERO, vec![]))?;
        match world.play().and_then(|()| world.judge()) {
            Ok(()) => Ok((world.report, world.digest)),
            Err(broken) => Err(violation(broken, world.now, world.trace.lines())),
        }
    }

    fn new(seed: u64, plan: &'a Plan, watch: Watch) -> Held<Self> {
        let electorate = electorate(plan.voters)?;
        let keys = (0..plan.voters as u64).map(Key).collect();
        let roster = Roster::new(electorate, keys).ok_or(("plan", "keys".to_owned()))?;
        let mut world = Self {
            draw: Draw::new(seed),
            plan,
            roster,
            hosts: vec![],
            queue: Queue::new(),
            now: Time::ZERO,
            healed_round: BTreeMap::new(),
            decided: BTreeMap::new(),
            report: Report::default(),
            trace: Trace::new(watch),
            digest: Digest::of(&[]),
        };
        for rank in 0..plan.voters {
            let sides: &[Option<bool>] = match plan.liars.get(&rank) {
                Some(Lie::Twins) => &[Some(false), Some(true)],
                _ => &[None],
            };
            for side in sides {
                let host = world.host(rank, *side)?;
                world.hosts.push(host);
            }
        }
        for (rank, at, proposal) in &plan.proposals {
            let host = world.hosts.iter().position(|host| host.rank == *rank).unwrap_or(0);
            // A proposer that crashed before its proposal was signed is asked again: that changes nothing
            // where it is open.
            for at in [*at, plan.heal] {
                world.queue.push(at, What::Input(host, 0, Box::new(Input::Open(*proposal))));
            }
        }
        for (rank, from, to) in &plan.crashes {
            let host = world.hosts.iter().position(|host| host.rank == *rank).unwrap_or(0);
            world.queue.push(*from, What::Crash(host));
            world.queue.push(*to, What::Restart(host));
        }
        Ok(world)
    }

    fn machine(&self, rank: usize) -> Held<Consensus> {
        let electorate = self.roster.electorate().clone();
        Consensus::new(peer(rank), electorate, Config::default())
            .map_err(|error| ("plan", error.to_string()))
    }

    fn host(&self, rank: usize, side: Option<bool>) -> Held<Host> {
        let at = Rank(u16::try_from(rank).unwrap_or(0));
        let liar = self.plan.liars.get(&rank).map(|lie| Liar::new(*lie, Key(rank as u64), at));
        let machine = Some(self.machine(rank)?);
        Ok(Host { rank, machine, disk: vec![], incarnation: 0, liar, side, sent: 0 })
    }

    fn play(&mut self) -> Held<()> {
        let mut healed = false;
        while let Some((at, what)) = self.queue.pop() {
            if at > END {
                break;
            }
            self.now = at;
            if !healed && at >= self.plan.heal + SETTLED {
                healed = true;
                self.note_rounds();
            }
            match what {
                What::Deliver(host, from, message) => self.deliver(host, from, *message)?,
                What::Input(host, life, input) if self.hosts[host].incarnation == life => {
                    self.feed(host, *input)?;
                }
                // The owner asks whatever life there is.
                What::Input(host, 0, input) if matches!(*input, Input::Open(_)) => {
                    let life = self.hosts[host].incarnation;
                    self.queue.push(at, What::Input(host, life, input));
                }
                What::Input(..) => {}
                What::Wake(host) => self.wake(host)?,
                What::Crash(host) => self.crash(host),
                What::Restart(host) => self.restart(host)?,
            }
        }
        // All was decided and said before: no round came after.
        if !healed {
            self.note_rounds();
        }
        self.report.virtual_time = self.now.since(Time::ZERO);
        Ok(())
    }

    fn note_rounds(&mut self) {
        for machine in self.honest() {
            for id in machine.instances() {
                let decided = machine.proof(id).map(|proof| round_of(&proof.vote));
                let round = machine.round(id).max(decided).unwrap_or(1);
                let highest = self.healed_round.entry(id).or_default();
                *highest = (*highest).max(round);
            }
        }
    }

    fn honest(&self) -> Vec<Consensus> {
        let honest = self.hosts.iter().filter(|host| host.liar.is_none());
        honest.filter_map(|host| host.machine.clone()).collect()
    }

    fn deliver(&mut self, host: usize, from: PeerId, message: Message) -> Held<()> {
        if self.hosts[host].machine.is_none() {
            return Ok(());
        }
        if let Some(liar) = &mut self.hosts[host].liar {
            liar.hear(&message);
        }
        match self.roster.check(message) {
            Ok(message) => self.feed(host, Input::Message { from, message: Box::new(message) }),
            Err(why) => {
                let honest = !self.plan.liars.keys().any(|rank| peer(*rank) == from);
                self.report.refused += 1;
                if honest {
                    return Err((
                        "blame_is_just",
                        format!("{from:?} is honest and refused: {why}"),
                    ));
                }
                Ok(())
            }
        }
    }

    fn wake(&mut self, host: usize) -> Held<()> {
        let due = self.hosts[host].machine.as_ref().and_then(|machine| machine.deadline());
        if due.is_some_and(|due| due <= self.now) {
            self.feed(host, Input::Deadline)?;
        }
        Ok(())
    }

    fn crash(&mut self, host: usize) {
        if self.hosts[host].machine.take().is_none() {
            return;
        }
        let life =
            Life::new(peer(self.hosts[host].rank), Incarnation(self.hosts[host].incarnation));
        self.hosts[host].incarnation += 1;
        self.report.crashes += 1;
        self.tell(host, &Input::Down(life), 300);
    }

    fn restart(&mut self, host: usize) -> Held<()> {
        if self.hosts[host].machine.is_some() {
            return Ok(());
        }
        let rank = self.hosts[host].rank;
        self.hosts[host].machine = Some(self.machine(rank)?);
        let records = self.hosts[host].disk.clone();
        self.feed(host, Input::Restore(records))?;
        let life = Life::new(peer(rank), Incarnation(self.hosts[host].incarnation));
        self.tell(host, &Input::Up(life), 1);
        Ok(())
    }

    /// What failure detection says, after so many milliseconds.
    fn tell(&mut self, about: usize, input: &Input, ms: u64) {
        let at = self.now + Duration::from_millis(ms);
        for host in (0..self.hosts.len()).filter(|host| *host != about) {
            let life = self.hosts[host].incarnation;
            self.queue.push(at, What::Input(host, life, Box::new(input.clone())));
        }
    }

    fn feed(&mut self, host: usize, input: Input) -> Held<()> {
        let now = self.now;
        let Some(machine) = &mut self.hosts[host].machine else {
            return Ok(());
        };
        let detail = (Detail::Full, Some(host));
        self.trace.note(now, detail, || format!("{host} <- {}", brief(&input)));
        let mut out = vec![];
        match machine.handle(now, input, &mut out) {
            Ok(()) => {}
            // A late opinion, a vote far ahead of a voter that was cut off.
            Err(_) => self.report.late += 1,
        }
        let due = machine.deadline();
        for effect in out {
            self.apply(host, effect)?;
        }
        if let Some(due) = due {
            self.queue.push(due.max(now), What::Wake(host));
        }
        Ok(())
    }

    fn apply(&mut self, host: usize, effect: Effect) -> Held<()> {
        let life = self.hosts[host].incarnation;
        match effect {
            Effect::Persist(record) => self.hosts[host].disk.push(record),
            Effect::Sign(id, statement) => {
                let rank = Rank(u16::try_from(self.hosts[host].rank).unwrap_or(0));
                let key = Key(self.hosts[host].rank as u64);
                let signed = key.sign(self.roster.electorate(), (id, rank), statement);
                let took = self.draw.below("sign", &[host as u64, self.now.as_us()], 2_000);
                let input = Input::Signed(id, statement, signed.seal);
                let at = self.now + Duration::from_micros(took);
                self.queue.push(at, What::Input(host, life, Box::new(input)));
            }
            Effect::Send(to, message) => self.send(host, to, &message),
            Effect::Event(event) => self.event(host, event)?,
        }
        Ok(())
    }

    fn event(&mut self, host: usize, event: Event) -> Held<()> {
        let rank = self.hosts[host].rank;
        let honest = self.hosts[host].liar.is_none();
        match event {
            Event::Judge(id, _) => {
                if let Some(ballot) = self.opinion(rank, id) {
                    let took = self.draw.below("judge", &[host as u64, first(id)], 200_000);
                    let at = self.now + Duration::from_micros(took);
                    let life = self.hosts[host].incarnation;
                    let input = Box::new(Input::Opinion(id, ballot));
                    self.queue.push(at, What::Input(host, life, input));
                }
            }
            Event::Decided(id, value) if honest => self.decide(rank, id, value)?,
            Event::Misbehaved(accused) if honest => {
                self.report.accused += 1;
                if !self.plan.liars.keys().any(|liar| peer(*liar) == accused) {
                    return Err(("blame_is_just", format!("{accused:?} is honest and accused")));
                }
            }
            Event::Stalled(..) => self.report.stalled += 1,
            Event::Decided(..) | Event::Misbehaved(_) => {}
        }
        Ok(())
    }

    fn opinion(&self, rank: usize, id: InstanceId) -> Option<Ballot> {
        let what = [rank as u64, first(id)];
        if self.draw.chance("silent", &what, self.plan.silent) {
            return None;
        }
        let yes = self.draw.chance("yes", &what, self.plan.approving);
        let verdict = if yes { Verdict::Approve } else { Verdict::Reject(Reason::Wrong) };
        let comment = Digest::from_bytes([0; 32]);
        Some(Ballot { verdict, scores: [800; DIMENSIONS], comment })
    }

    /// Agreement and validity, at the moment of each decision.
    fn decide(&mut self, rank: usize, id: InstanceId, value: Value) -> Held<()> {
        let detail = (Detail::Brief, Some(rank));
        self.trace.note(self.now, detail, || format!("{rank} decides {:?}", value.outcome));
        if let Some(before) = self.decided.insert((id, rank), value) {
            if before != value {
                return Err(("agreement", format!("{rank} decided twice, differently")));
            }
            return Ok(());
        }
        let who = (rank as u64).to_be_bytes();
        let bytes = [&self.digest.as_bytes()[..], &who, value.digest(id).as_bytes()].concat();
        self.digest = Digest::of(&[&bytes, &self.now.as_us().to_be_bytes()]);
        self.report.decisions += 1;
        if self.plan.broken {
            return Ok(());
        }
        let other = self.decided.iter().find(|((one, _), old)| *one == id && **old != value);
        if let Some(((_, other), old)) = other {
            let what = format!("{other} decided {:?}, {rank} {:?}", old.outcome, value.outcome);
            return Err(("agreement", what));
        }
        self.is_valid(id, value.outcome)
    }

    /// Approved only with its approvals, rejected only with its rejections; liars may have said anything.
    fn is_valid(&mut self, id: InstanceId, outcome: Outcome) -> Held<()> {
        let voters = self.plan.voters as u64;
        let liars = self.plan.liars.len() as u64;
        let honest = (0..self.plan.voters).filter(|rank| !self.plan.liars.contains_key(rank));
        let says = |approve: bool| {
            let said = honest.clone().filter_map(|rank| self.opinion(rank, id));
            said.filter(|ballot| (ballot.verdict == Verdict::Approve) == approve).count() as u64
        };
        let (yes, no) = (says(true) + liars, says(false) + liars);
        let needed = self.plan.proposals.iter().map(|(_, _, one)| one.policy.threshold).max();
        let needed = u64::from(needed.unwrap_or(1_000)) * voters;
        match outcome {
            Outcome::Approved => self.report.approved += 1,
            Outcome::Rejected(_) => self.report.rejected += 1,
            Outcome::Expired => self.report.expired += 1,
        }
        let holds = match outcome {
            Outcome::Approved => yes * 1_000 >= needed,
            Outcome::Rejected(_) => voters.saturating_sub(no) * 1_000 < needed,
            Outcome::Expired => true,
        };
        if holds {
            Ok(())
        } else {
            Err(("valid_outcome", format!("{outcome:?}: {yes} yes, {no} no")))
        }
    }

    fn send(&mut self, from: usize, to: To, message: &Message) {
        let me = self.hosts[from].rank;
        let wanted = |host: &Host| match to {
            To::Electorate => host.rank != me,
            To::One(one) => peer(host.rank) == one,
        };
        let targets: Vec<usize> =
            (0..self.hosts.len()).filter(|host| wanted(&self.hosts[*host])).collect();
        for target in targets {
            self.hosts[from].sent += 1;
            let count = self.hosts[from].sent;
            let rank = Rank(u16::try_from(self.hosts[target].rank).unwrap_or(0));
            let said = match &self.hosts[from].liar {
                Some(liar) => {
                    let electorate = self.roster.electorate();
                    liar.say(electorate, (self.draw, count), rank, message.clone())
                }
                None => vec![message.clone()],
            };
            for (part, message) in said.into_iter().enumerate() {
                self.post((from, target), [count, part as u64], message);
            }
        }
    }

    fn post(&mut self, (from, to): (usize, usize), [count, part]: [u64; 2], message: Message) {
        self.report.messages += 1;
        let what = [from as u64, to as u64, count, part];
        let (one, two) = (&self.hosts[from], &self.hosts[to]);
        if !self.passes(one, two) {
            return;
        }
        let stormy = self.now < self.plan.heal;
        if stormy && self.draw.chance("lost", &what, self.plan.lost) {
            return;
        }
        let most = self.plan.delay_max.as_micros();
        let most = if stormy { u64::try_from(most).unwrap_or(CALM_US) } else { CALM_US };
        let sender = peer(one.rank);
        let doubled = stormy && self.draw.chance("doubled", &what, self.plan.doubled);
        for copy in 0..=u64::from(doubled) {
            let what = [what[0], what[1], what[2], what[3], copy];
            let took = 100 + self.draw.below("delay", &what, most);
            let at = self.now + Duration::from_micros(took);
            self.queue.push(at, What::Deliver(to, sender, Box::new(message.clone())));
        }
    }

    /// Cuts, and the halves of twins.
    fn passes(&self, one: &Host, two: &Host) -> bool {
        let half = |host: &Host| host.side.unwrap_or_else(|| self.plan.cut.contains(&host.rank));
        let twins = one.side.is_some() || two.side.is_some();
        let cut = self.now >= self.plan.cut_from && self.now < self.plan.heal;
        let apart = cut && !self.plan.cut.is_empty();
        if apart || twins {
            let (one, two) = (half(one), half(two));
            return one == two;
        }
        true
    }

    /// At the end: everybody decided, in time; what was decided is proved; who forked is known.
    fn judge(&mut self) -> Held<()> {
        self.report.seeds = 1;
        if self.plan.broken {
            return self.judge_broken();
        }
        let honest = self.honest();
        let ids: BTreeSet<_> = honest.iter().flat_map(Consensus::instances).collect();
        let opened = self.plan.proposals.len();
        if ids.len() != opened {
            return Err(("nothing_hangs", format!("{} of {opened} are known", ids.len())));
        }
        for machine in &honest {
            for id in &ids {
                self.judge_one(machine, *id)?;
            }
        }
        Ok(())
    }

    fn judge_one(&mut self, machine: &Consensus, id: InstanceId) -> Held<()> {
        let rank = machine.rank().0;
        let Some(proof) = machine.proof(id) else {
            let round = machine.round(id);
            return Err(("nothing_hangs", format!("{rank} is undecided in round {round:?}")));
        };
        let (Vote::Finalize(round, _), Ok(())) = (proof.vote, self.roster.certificate(proof))
        else {
            return Err(("certificates_verify", format!("that of {rank}")));
        };
        let most = liars_max(self.plan.voters) as u64 + 2;
        let healed = self.healed_round.get(&id).copied().unwrap_or(1);
        self.report.rounds_max = self.report.rounds_max.max(round);
        if round > healed + most {
            return Err((
                "in_time",
                format!("round {round}, when all was settled it was {healed}"),
            ));
        }
        Ok(())
    }

    /// More liars than may be: whoever forks it is found in what honest voters keep.
    fn judge_broken(&mut self) -> Held<()> {
        let honest = self.honest();
        let ids: BTreeSet<_> = honest.iter().flat_map(Consensus::instances).collect();
        for id in ids {
            let values: BTreeSet<_> =
                self.decided.iter().filter(|((one, _), _)| *one == id).map(|(_, v)| *v).collect();
            if values.len() < 2 {
                continue;
            }
            self.report.forks += 1;
            let kept: Vec<Certificate> =
                honest.iter().flat_map(|machine| machine.certificates(id).cloned()).collect();
            let found: Vec<Evidence> = accuse(&kept);
            let voters = self.plan.voters;
            let least = voters - 2 * liars_max(voters);
            let liar = |rank: Rank| self.plan.liars.contains_key(&rank.index());
            if found.len() < least || !found.iter().all(|one| liar(one.one.rank)) {
                let ranks: Vec<_> = found.iter().map(|one| one.one.rank.0).collect();
                return Err(("evidence", format!("{ranks:?} are found, at least {least} forked")));
            }
        }
        Ok(())
    }
}

fn first(id: InstanceId) -> u64 {
    id.0.as_bytes().iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn brief(input: &Input) -> String {
    let statement = |one: &Statement| match one {
        Statement::Vote(Vote::Notarize(round, value)) => {
            format!("notarize {round} {:?}", value.outcome)
        }
        Statement::Vote(Vote::Finalize(round, value)) => {
            format!("finalize {round} {:?}", value.outcome)
        }
        other => format!("{other:?}"),
    };
    match input {
        Input::Message { from, message } => match message.message() {
            Message::Statement(signed) => {
                format!("{}: {:?} {}", from.short(), signed.rank, statement(&signed.statement))
            }
            Message::Propose(propose) => {
                format!("{}: propose {}", from.short(), statement(&propose.vote.statement))
            }
            Message::Certificate(one) => {
                format!("{}: quorum {}", from.short(), statement(&Statement::Vote(one.vote)))
            }
            Message::Ballot(pair) => format!("{}: ballot of {:?}", from.short(), pair.1.rank),
            Message::Submission(_) => format!("{}: submission", from.short()),
            Message::Evidence(pair) => format!("{}: evidence {:?}", from.short(), pair.one.rank),
            Message::Want(_, rounds) => format!("{}: want {rounds:?}", from.short()),
        },
        Input::Signed(_, one, Seal(_)) => format!("signed {}", statement(one)),
        Input::Restore(records) => format!("restore {} records", records.len()),
        other => format!("{other:?}"),
    }
}
