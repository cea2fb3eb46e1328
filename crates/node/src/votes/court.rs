//! Asking, judging and deciding: inputs of the user and effects of the voters' machine.

use std::sync::Arc;

use formic_consensus::{
    Ballot, Consensus, Effect as VoteEffect, Event as VoteEvent, Input as VoteInput, InstanceId,
    Message as VoteMessage, Statement, To, liars_max,
};
use formic_core::{Digest, Incarnation, JobId, Key, Life, PeerId, Protocol as _};
use formic_healing::{Belief, Standing};

use super::{
    ASK_EVERY, COURTS_MAX, Court, CourtId, Docket, Open, Say, Votes,
    case::{Case, Decision, Ruling, electorate},
    judgement, keys,
};
use crate::{Effect, ElectorateStatus, Error, Event, Message, Node, Record, step::Step};

impl Node {
    /// A body asks: all voters are told, and judge.
    pub(crate) fn on_decide(
        &mut self,
        job: JobId,
        owner: Key,
        case: Arc<Case>,
    ) -> Result<(), Error> {
        self.jobs.get(job).ok_or(Error::UnknownJob { job })?;
        let task = case.task;
        let mesh = self.mesh.mesh().ok_or(Error::UnknownJob { job })?;
        let court = case.check(mesh, job).map_err(|error| error.to_string());
        let opened = court.and_then(|electorate| {
            let id = (job, electorate.digest());
            let full = "this peer takes part in 1024 electorates, its limit";
            if self.open_court(id, mesh, electorate) { Ok(id) } else { Err(full.to_owned()) }
        });
        let id = match opened {
            Ok(id) => id,
            Err(reason) => {
                let ruling = Ruling::Undecided { reason };
                self.out.push(Effect::Ruled { job, owner, task, ruling });
                return Ok(());
            }
        };
        let Some(court) = self.courts.courts.get_mut(&id) else { return Ok(()) };
        let instance = case.proposal().instance(court.electorate());
        let is_new = !court.cases.contains_key(&instance);
        court.cases.entry(instance).or_insert_with(|| Open::new(Arc::clone(&case)));
        let Some(open) = court.cases.get_mut(&instance) else { return Ok(()) };
        open.owners.insert(owner);
        if open.decided.is_some() {
            self.settle(id, instance);
            return Ok(());
        }
        court.asks_at = Some(self.now + ASK_EVERY);
        let voters = court.voters.len();
        let (name, author) = (case.name.clone(), case.author);
        let asked = Event::DecisionAsked { job, task, name, electorate: id.1, voters, author };
        self.out.push(Effect::Event(asked));
        if is_new {
            self.write_case(id, instance);
        }
        self.take_case(id, instance);
        self.tell_voters(id, &Say::Case(case));
        Ok(())
    }

    /// A voter writes down what it may be asked to judge.
    pub(crate) fn write_case(&mut self, id: CourtId, instance: InstanceId) {
        let court = self.courts.courts.get(&id).filter(|court| court.machine.is_some());
        if let Some(open) = court.and_then(|court| court.cases.get(&instance)) {
            let record = Docket::Case(Arc::clone(&open.case));
            self.out.push(Effect::Persist(Record::Votes { job: id.0, record }));
        }
    }

    /// A case is known and written down: a voter opens it and judges it.
    pub(crate) fn take_case(&mut self, id: CourtId, instance: InstanceId) {
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        let Some(case) = court.cases.get(&instance).map(|open| Arc::clone(&open.case)) else {
            return;
        };
        let waits = court.unjudged.remove(&instance);
        let Some(machine) = &court.machine else { return };
        let (known, decided) =
            (machine.proposal(instance).is_some(), machine.decided(instance).is_some());
        if decided {
            self.on_agreed(id, instance);
        } else if !known {
            self.steps.push_back(Step::Votes(id, VoteInput::Open(case.proposal())));
        } else if waits {
            self.out.push(Effect::Judge { job: id.0, instance, case });
        }
    }

    /// Whether this peer takes part in the electorate, as a voter or as one that asks it.
    pub(crate) fn open_court(
        &mut self,
        id: CourtId,
        mesh: Digest,
        electorate: formic_consensus::Electorate,
    ) -> bool {
        if self.courts.courts.contains_key(&id) {
            return true;
        }
        if self.courts.courts.len() >= COURTS_MAX {
            self.count_votes_dropped();
            return false;
        }
        let (config, voters) = (self.consensus.clone(), electorate.clone());
        let machine = Consensus::new(self.me.peer, electorate.clone(), config).ok().map(Box::new);
        let votes = machine.is_some();
        let mut court = Court::new(mesh, electorate, machine);
        court.learn(self.me.peer, &self.own_spki());
        if votes {
            let record = Docket::Voters(mesh, court.voters.clone());
            self.out.push(Effect::Persist(Record::Votes { job: id.0, record }));
        }
        self.courts.courts.insert(id, court);
        if votes {
            self.tell_court_who_lives(id, &voters);
        }
        true
    }

    /// Of whom nothing was heard here counts as down until it is: a vote is not waited for that may never come.
    fn tell_court_who_lives(&mut self, id: CourtId, electorate: &formic_consensus::Electorate) {
        let told = self.healing.told();
        for member in electorate.members().iter().filter(|member| member.peer != self.me.peer) {
            let known = told.iter().filter(|(life, _)| life.peer == member.peer);
            let input = match known.max_by_key(|(life, _)| life.incarnation) {
                Some((life, Belief::Condemned { .. })) => VoteInput::Down(*life),
                Some((life, _)) => VoteInput::Up(*life),
                None => VoteInput::Down(Life::new(member.peer, Incarnation(0))),
            };
            self.steps.push_back(Step::Votes(id, input));
        }
    }

    /// A judge of this peer has an opinion. One that comes after the decision is no news.
    pub(crate) fn on_opinion(&mut self, job: JobId, instance: InstanceId, ballot: Ballot) {
        let Some(id) = self.courts.judging(job, instance) else { return };
        let court = self.courts.courts.get(&id);
        let machine = court.and_then(|court| court.machine.as_ref());
        if machine.is_some_and(|machine| machine.decided(instance).is_none()) {
            self.steps.push_back(Step::Votes(id, VoteInput::Opinion(instance, ballot)));
        }
    }

    pub(crate) fn on_vote_effect(&mut self, id: CourtId, effect: VoteEffect) {
        match effect {
            VoteEffect::Persist(record) => {
                let record = Docket::Voter(id.1, record);
                self.out.push(Effect::Persist(Record::Votes { job: id.0, record }));
            }
            VoteEffect::Sign(instance, statement) => self.seal_statement(id, instance, statement),
            VoteEffect::Send(To::Electorate, message) => {
                let say = Say::Vote(self.own_spki(), Box::new(message));
                self.tell_voters(id, &say);
            }
            VoteEffect::Send(To::One(peer), message) => {
                let say = Say::Vote(self.own_spki(), Box::new(message));
                self.tell_voter(id, peer, say);
            }
            VoteEffect::Event(event) => self.on_vote_event(id, event),
        }
    }

    fn seal_statement(&mut self, id: CourtId, instance: InstanceId, statement: Statement) {
        let Some(court) = self.courts.courts.get(&id) else { return };
        let Some(machine) = &court.machine else { return };
        let bytes = statement.bytes(court.electorate(), instance, machine.rank());
        let seal = keys::seal(self.secret(), &bytes);
        if let (Statement::Ballot(ballot), Some(open)) = (&statement, court.cases.get(&instance)) {
            let (job, task, ballot) = (id.0, open.case.task, *ballot);
            self.out.push(Effect::Event(Event::BallotCast { job, task, ballot }));
        }
        self.steps.push_back(Step::Votes(id, VoteInput::Signed(instance, statement, seal)));
    }

    fn on_vote_event(&mut self, id: CourtId, event: VoteEvent) {
        match event {
            VoteEvent::Judge(instance, _) => self.on_judge(id, instance),
            VoteEvent::Decided(instance, _) => self.on_agreed(id, instance),
            VoteEvent::Stalled(instance, missing) => {
                if let Some(task) = self.task_of(id, instance) {
                    let job = id.0;
                    self.out.push(Effect::Event(Event::DecisionStalled { job, task, missing }));
                }
            }
            VoteEvent::Misbehaved(peer) => {
                self.misbehaved(peer, format!("contradicts itself as a voter of job {}", id.0));
                self.out.push(Effect::Event(Event::VoterLied { job: id.0, peer }));
            }
        }
    }

    fn task_of(&self, id: CourtId, instance: InstanceId) -> Option<Key> {
        Some(self.courts.courts.get(&id)?.cases.get(&instance)?.case.task)
    }

    fn on_judge(&mut self, id: CourtId, instance: InstanceId) {
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        match court.cases.get(&instance) {
            Some(open) => {
                let case = Arc::clone(&open.case);
                self.out.push(Effect::Judge { job: id.0, instance, case });
            }
            None => drop(court.unjudged.insert(instance)),
        }
    }

    /// The machine of this peer knows the decision.
    pub(crate) fn on_agreed(&mut self, id: CourtId, instance: InstanceId) {
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        let Some(decision) = court.decision(id.0, instance) else { return };
        self.have_decision(id, instance, decision);
    }

    /// A checked decision of a case that is known here.
    pub(crate) fn have_decision(&mut self, id: CourtId, instance: InstanceId, decision: Decision) {
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        let Some(open) = court.cases.get_mut(&instance) else { return };
        if open.decided.is_none() {
            let decision = Arc::new(decision);
            open.decided = Some(Arc::clone(&decision));
            self.courts.keep(id.0, &decision);
            if let Some(judgement) = judgement(&decision) {
                self.courts.account(&judgement);
            }
        }
        self.settle(id, instance);
    }

    /// Everybody who waits for a decision has it.
    fn settle(&mut self, id: CourtId, instance: InstanceId) {
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        let Some(open) = court.cases.get_mut(&instance) else { return };
        let Some(decision) = open.decided.clone() else { return };
        let (job, task) = (id.0, open.case.task);
        let owners = core::mem::take(&mut open.owners);
        let askers = core::mem::take(&mut open.askers);
        if !owners.is_empty()
            && let Some(judgement) = judgement(&decision)
        {
            let (decision, judgement) = (Arc::clone(&decision), Box::new(judgement));
            self.out.push(Effect::Event(Event::DecisionMade { job, task, decision, judgement }));
        }
        for owner in owners {
            let ruling = Ruling::Decided(Box::new((*decision).clone()));
            self.out.push(Effect::Ruled { job, owner, task, ruling });
        }
        for asker in askers {
            let say = Say::Decided(Box::new((*decision).clone()));
            self.send(asker, Message::Votes(Box::new(Votes { job, electorate: id.1, say })));
        }
    }

    /// The deadline of an electorate.
    pub(crate) fn on_court_deadline(&mut self, id: CourtId) {
        let now = self.now;
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        if court.wake.is_some_and(|at| at <= now) {
            self.steps.push_back(Step::Votes(id, VoteInput::Deadline));
        }
        if court.asks_at.is_some_and(|at| at <= now) {
            self.ask_again(id);
        }
    }

    /// Own bodies still wait: whoever missed the case hears of it, and where too many voters are gone nobody waits on.
    fn ask_again(&mut self, id: CourtId) {
        let short = self.is_short(id);
        let (now, lost_after) = (self.now, self.voters_lost);
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        let votes = court.machine.is_some();
        let mut given_up = Vec::new();
        let mut again = Vec::new();
        for (instance, open) in &mut court.cases {
            if open.owners.is_empty() {
                continue;
            }
            open.short_since = short.as_ref().map(|_| open.short_since.unwrap_or(now));
            if open.short_since.is_some_and(|since| now.since(since) >= lost_after) {
                let owners = core::mem::take(&mut open.owners);
                given_up.extend(owners.into_iter().map(|owner| (owner, open.case.task)));
            } else {
                again.push((*instance, Arc::clone(&open.case)));
            }
        }
        court.asks_at = (!again.is_empty()).then_some(now + ASK_EVERY);
        for (owner, task) in given_up {
            let reason = short.clone().unwrap_or_default();
            let ruling = Ruling::Undecided { reason };
            self.out.push(Effect::Ruled { job: id.0, owner, task, ruling });
        }
        for (instance, case) in again {
            // A voter's machine tells the others itself, once it has room for the question.
            self.take_case(id, instance);
            if !votes {
                self.tell_voters(id, &Say::Case(case));
            }
        }
    }

    /// Says so if fewer voters are alive than decide, as far as this peer may judge that.
    fn is_short(&self, id: CourtId) -> Option<String> {
        if self.healing.standing() == Standing::Lost {
            return None;
        }
        let court = self.courts.courts.get(&id)?;
        let alive = self.alive();
        let gone: Vec<String> = (court.voters.iter())
            .filter(|peer| **peer != self.me.peer && !alive.iter().any(|it| it.peer == **peer))
            .map(PeerId::short)
            .collect();
        let (all, most) = (court.voters.len(), liars_max(court.voters.len()));
        (gone.len() > most).then(|| {
            let quorum = court.electorate().quorum();
            format!(
                "no quorum of voters: {} of {all} are gone ({}), {quorum} decide",
                gone.len(),
                gone.join(", ")
            )
        })
    }

    /// For the status. O(questions).
    pub(crate) fn electorates(&self) -> Vec<ElectorateStatus> {
        let alive = self.alive();
        let lives =
            |peer: &PeerId| *peer == self.me.peer || alive.iter().any(|it| it.peer == *peer);
        let courts = self.courts.courts.iter().map(|((job, digest), court)| {
            let decided = court.cases.values().filter(|open| open.decided.is_some()).count();
            let thresholds = court.cases.values().map(|open| open.case.policy.threshold);
            ElectorateStatus {
                job: *job,
                digest: *digest,
                voters: court.voters.clone(),
                quorum: court.electorate().quorum() as u64,
                alive: court.voters.iter().filter(|peer| lives(peer)).count() as u64,
                open: (court.cases.len() - decided) as u64,
                decided: decided as u64,
                threshold: thresholds.max().unwrap_or(0),
            }
        });
        courts.collect()
    }

    /// A life came or went.
    pub(crate) fn tell_courts(&mut self, input: &VoteInput) {
        for id in self.courts.ids() {
            self.steps.push_back(Step::Votes(id, input.clone()));
        }
    }

    fn tell_voters(&mut self, id: CourtId, say: &Say) {
        let Some(court) = self.courts.courts.get(&id) else { return };
        for peer in court.voters.clone() {
            if peer != self.me.peer {
                self.tell_voter(id, peer, say.clone());
            }
        }
    }

    /// Lost where no link is up: voters repeat themselves.
    pub(crate) fn tell_voter(&mut self, (job, electorate): CourtId, peer: PeerId, say: Say) {
        if let Some(life) = self.mesh.life(&peer) {
            self.send(life, Message::Votes(Box::new(Votes { job, electorate, say })));
        }
    }

    /// The job is over: no vote in it counts any more.
    pub(crate) fn close_courts(&mut self, job: JobId) {
        if self.courts.close(job) {
            let record = Docket::Closed;
            self.out.push(Effect::Persist(Record::Votes { job, record }));
        }
    }

    /// Voters of the process before go on: what they said is said again, nothing else.
    pub(crate) fn restore_courts(&mut self, job: JobId, dockets: Vec<Docket>) {
        for docket in &dockets {
            let Docket::Voters(mesh, voters) = docket else { continue };
            let Ok(electorate) = electorate(*mesh, job, voters) else { continue };
            let (id, digest) = ((job, electorate.digest()), electorate.digest());
            let config = self.consensus.clone();
            let machine = Consensus::new(self.me.peer, electorate.clone(), config).ok();
            let mut court = Court::new(*mesh, electorate, machine.map(Box::new));
            court.learn(self.me.peer, &self.own_spki());
            let cases = dockets.iter().filter_map(|docket| match docket {
                Docket::Case(case) if case.voters == *voters => Some(case),
                _ => None,
            });
            for case in cases {
                let instance = case.proposal().instance(court.electorate());
                court.cases.entry(instance).or_insert_with(|| Open::new(Arc::clone(case)));
            }
            self.courts.courts.insert(id, court);
            let records = dockets.iter().filter_map(|docket| match docket {
                Docket::Voter(of, record) if *of == digest => Some(record.clone()),
                _ => None,
            });
            let records = records.collect();
            self.steps.push_back(Step::Votes(id, VoteInput::Restore(records)));
        }
    }

    /// What others check this peer's votes with.
    pub(crate) fn own_spki(&self) -> Vec<u8> {
        self.secret().public().spki_der().to_vec()
    }

    pub(crate) fn vote_step(&mut self, id: CourtId, input: VoteInput) -> Result<(), Error> {
        let mut effects = Vec::new();
        let Some(court) = self.courts.courts.get_mut(&id) else { return Ok(()) };
        let Some(machine) = &mut court.machine else { return Ok(()) };
        machine.handle(self.now, input, &mut effects)?;
        court.wake = machine.deadline();
        effects.into_iter().for_each(|effect| self.on_vote_effect(id, effect));
        Ok(())
    }
}

/// Which message of a voter is about what; for the peer that misses the case.
pub(crate) fn instance_of(
    message: &VoteMessage,
    electorate: &formic_consensus::Electorate,
) -> InstanceId {
    match message {
        VoteMessage::Submission(submission) => submission.proposal.instance(electorate),
        other => other.instance().unwrap_or(InstanceId(electorate.digest())),
    }
}
