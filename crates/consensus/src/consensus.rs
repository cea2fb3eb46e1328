use std::collections::BTreeMap;

use formic_core::{Incarnation, Life, PeerId, Protocol, Sink, Time, earliest};

use crate::{
    Ballot, Body, Certificate, Config, Effect, Electorate, Error, Event, Evidence, Input,
    InstanceId, Message, Proposal, Rank, Record, Seal, Statement, Submission, To, Value, Verified,
    instance::{Ground, Instance},
};

/// One voter of one electorate, in all of its instances (consensus.md sections 7 and 8).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Consensus {
    config: Config,
    electorate: Electorate,
    me: Rank,
    now: Time,
    begun: Begun,
    instances: BTreeMap<InstanceId, Instance>,
    /// Own proposals that wait for their signature.
    proposing: BTreeMap<InstanceId, Proposal>,
    down: BTreeMap<Rank, (Incarnation, Time)>,
    lives: BTreeMap<Rank, Incarnation>,
}

/// Whether records may still be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Begun {
    No,
    Yes,
}

impl Protocol for Consensus {
    type Input = Input;
    type Effect = Effect;
    type Error = Error;

    fn handle(
        &mut self,
        now: Time,
        input: Input,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::ClockWentBack { last: self.now, now });
        }
        match input {
            Input::Restore(records) => self.on_restore(now, records, out)?,
            Input::Open(proposal) => self.on_open(proposal, out)?,
            Input::Opinion(instance, ballot) => self.on_opinion(now, (instance, ballot), out)?,
            Input::Signed(instance, statement, seal) => {
                self.on_signed(now, instance, (statement, seal), out)?;
            }
            Input::Message { from, message } => self.on_message(now, from, *message, out)?,
            Input::Down(life) => self.on_down(now, life, out),
            Input::Up(life) => self.on_up(life),
            Input::Deadline => self.on_deadline(now, out),
        }
        self.begun = Begun::Yes;
        self.now = now;
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let ground = self.ground(self.now);
        self.instances.values().map(|instance| instance.deadline(&ground)).fold(None, earliest)
    }
}

impl Consensus {
    /// The voter `peer` of this electorate.
    ///
    /// # Errors
    /// [`Error::NoVote`], [`Error::Config`].
    pub fn new(peer: PeerId, electorate: Electorate, config: Config) -> Result<Self, Error> {
        config.check()?;
        let me = electorate.rank(peer).ok_or(Error::NoVote { peer })?;
        Ok(Self {
            config,
            electorate,
            me,
            now: Time::ZERO,
            begun: Begun::No,
            instances: BTreeMap::new(),
            proposing: BTreeMap::new(),
            down: BTreeMap::new(),
            lives: BTreeMap::new(),
        })
    }

    /// The electorate.
    pub const fn electorate(&self) -> &Electorate {
        &self.electorate
    }

    /// This voter's rank.
    pub const fn rank(&self) -> Rank {
        self.me
    }

    /// The known instances, ascending.
    pub fn instances(&self) -> impl Iterator<Item = InstanceId> {
        self.instances.keys().copied()
    }

    /// What is asked in an instance.
    pub fn proposal(&self, instance: InstanceId) -> Option<&Proposal> {
        self.instances.get(&instance).map(|instance| &instance.submission.proposal)
    }

    /// What was decided.
    pub fn decided(&self, instance: InstanceId) -> Option<&Value> {
        self.instances.get(&instance)?.decided()
    }

    /// The quorum that proves the decision to anybody who knows the public keys.
    pub fn proof(&self, instance: InstanceId) -> Option<&Certificate> {
        self.instances.get(&instance)?.proof()
    }

    /// What supports the decision. `None` also if this voter learnt it from its certificate alone.
    pub fn body(&self, instance: InstanceId) -> Option<&Body> {
        let instance = self.instances.get(&instance)?;
        instance.body(instance.decided()?)
    }

    /// The round of an instance, from 1.
    pub fn round(&self, instance: InstanceId) -> Option<u64> {
        self.instances.get(&instance).map(Instance::round)
    }

    /// All quorums seen in an instance, kept as long as this machine:
    /// [`accuse`](crate::accuse) finds in those of two voters who forked it.
    pub fn certificates(&self, instance: InstanceId) -> impl Iterator<Item = &Certificate> {
        self.instances.get(&instance).into_iter().flat_map(Instance::certificates)
    }

    /// The first proof against each voter that lied in an instance, by rank.
    pub fn evidence(&self, instance: InstanceId) -> impl Iterator<Item = &Evidence> {
        self.instances.get(&instance).into_iter().flat_map(|one| one.evidence().values())
    }

    const fn ground(&self, now: Time) -> Ground<'_> {
        Ground {
            config: &self.config,
            electorate: &self.electorate,
            down: &self.down,
            me: self.me,
            now,
        }
    }

    /// Lets `work` change an instance, then does what is due in it.
    fn within<S: Sink<Effect>>(
        &mut self,
        now: Time,
        id: InstanceId,
        out: &mut S,
        work: impl FnOnce(&mut Instance, &Ground<'_>, &mut S),
    ) {
        let ground = Ground {
            config: &self.config,
            electorate: &self.electorate,
            down: &self.down,
            me: self.me,
            now,
        };
        if let Some(instance) = self.instances.get_mut(&id) {
            work(instance, &ground, out);
            instance.advance(&ground, out);
        }
    }

    fn on_restore(
        &mut self,
        now: Time,
        records: Vec<Record>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if self.begun == Begun::Yes {
            return Err(Error::Restore);
        }
        let mut opened = BTreeMap::new();
        for record in &records {
            let known = match record {
                Record::Opened(submission) => {
                    let id = submission.proposal.instance(&self.electorate);
                    opened.insert(id, submission.clone());
                    true
                }
                Record::Own(id, _) | Record::Body(id, ..) => opened.contains_key(id),
                Record::Certificate(certificate) => opened.contains_key(&certificate.instance),
            };
            if !known {
                return Err(Error::Restore);
            }
        }
        for (id, submission) in opened {
            self.instances.insert(id, Instance::new(id, submission, &self.ground(now)));
        }
        for record in records {
            let id = match &record {
                Record::Opened(_) => continue,
                Record::Own(id, _) | Record::Body(id, ..) => *id,
                Record::Certificate(certificate) => certificate.instance,
            };
            let ground = Ground {
                config: &self.config,
                electorate: &self.electorate,
                down: &self.down,
                me: self.me,
                now,
            };
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.restore(record, &ground, out);
            }
        }
        for id in self.instances.keys().copied().collect::<Vec<_>>() {
            self.ask(id, out);
            self.within(now, id, out, |_, _, _| {});
        }
        Ok(())
    }

    fn on_open(&mut self, proposal: Proposal, out: &mut impl Sink<Effect>) -> Result<(), Error> {
        proposal.check(&self.electorate).map_err(Error::Proposal)?;
        let id = proposal.instance(&self.electorate);
        if self.instances.contains_key(&id) || self.proposing.contains_key(&id) {
            return Ok(());
        }
        self.has_room(self.me, self.proposing.len())?;
        self.proposing.insert(id, proposal);
        out.push(Effect::Sign(id, Statement::Submit));
        Ok(())
    }

    fn on_opinion(
        &mut self,
        now: Time,
        (id, ballot): (InstanceId, Ballot),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let instance = self.instances.get(&id).ok_or(Error::Unknown { instance: id })?;
        if !ballot.is_lawful() {
            return Err(Error::Score);
        }
        if instance.has_opinion(self.me) || instance.decided().is_some() {
            return Err(Error::Late { instance: id });
        }
        self.within(now, id, out, |instance, _, out| instance.cast(Statement::Ballot(ballot), out));
        Ok(())
    }

    fn on_signed(
        &mut self,
        now: Time,
        id: InstanceId,
        (statement, seal): (Statement, Seal),
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        if statement == Statement::Submit {
            let proposal = self.proposing.remove(&id).ok_or(Error::NotAsked)?;
            let submission = Submission { proposal, proposer: self.me, seal };
            if !self.instances.contains_key(&id) {
                self.open(now, id, submission.clone(), out);
                out.push(Effect::Send(To::Electorate, Message::Submission(submission)));
            }
            return Ok(());
        }
        if !self.instances.get(&id).is_some_and(|instance| instance.awaits(&statement)) {
            return Err(Error::NotAsked);
        }
        self.within(now, id, out, |instance, ground, out| {
            instance.signed((statement, seal), ground, out);
        });
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Time,
        from: PeerId,
        message: Verified,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let sender = self.electorate.rank(from).ok_or(Error::NotMember { from })?;
        let message = message.into_message();
        let submission = match &message {
            Message::Submission(submission) => Some(submission.clone()),
            Message::Ballot(pair) => Some(pair.0.clone()),
            _ => None,
        };
        let id = message.instance();
        let id = id.unwrap_or_else(|| match &submission {
            Some(submission) => submission.proposal.instance(&self.electorate),
            None => InstanceId(self.electorate.digest()),
        });
        self.is_near(from, id, &message)?;
        let known = self.instances.contains_key(&id);
        match submission {
            // Votes about an unknown proposal mean nothing yet: whoever sent them has it.
            None if !known && matches!(message, Message::Want(..)) => return Ok(()),
            None if !known => {
                out.push(Effect::Send(To::One(from), Message::Want(id, vec![])));
                return Ok(());
            }
            Some(submission) if !known => {
                self.has_room(submission.proposer, 0)?;
                self.open(now, id, submission, out);
            }
            Some(_) | None => {}
        }
        self.within(now, id, out, |instance, ground, out| {
            receive(instance, sender, message, (ground, out));
        });
        Ok(())
    }

    /// Votes far ahead are not stored: a liar could fill the memory with them. Certificates are proof.
    fn is_near(&self, from: PeerId, id: InstanceId, message: &Message) -> Result<(), Error> {
        let signed = match message {
            Message::Statement(signed) => signed,
            Message::Propose(propose) => &propose.vote,
            _ => return Ok(()),
        };
        let here = self.round(id).unwrap_or(1);
        match signed.statement {
            Statement::Vote(vote) if vote.round() > here + self.electorate.len() as u64 => {
                Err(Error::FarAhead { from, round: vote.round(), here })
            }
            _ => Ok(()),
        }
    }

    /// B1.
    fn open(
        &mut self,
        now: Time,
        id: InstanceId,
        submission: Submission,
        out: &mut impl Sink<Effect>,
    ) {
        out.push(Effect::Persist(Record::Opened(submission.clone())));
        let instance = Instance::new(id, submission, &self.ground(now));
        self.instances.insert(id, instance);
        self.ask(id, out);
    }

    /// The owner is asked unless it is its own work, or it answered already.
    fn ask(&self, id: InstanceId, out: &mut impl Sink<Effect>) {
        let Some(instance) = self.instances.get(&id) else {
            return;
        };
        let proposal = instance.submission.proposal;
        let judges = proposal.weight(&self.electorate, self.me) > 0;
        if judges && !instance.has_opinion(self.me) && instance.decided().is_none() {
            out.push(Effect::Event(Event::Judge(id, proposal)));
        }
    }

    fn has_room(&self, proposer: Rank, waiting: usize) -> Result<(), Error> {
        let undecided = || self.instances.values().filter(|one| one.decided().is_none());
        let own = undecided().filter(|one| one.submission.proposer == proposer).count() + waiting;
        let all = undecided().count() + waiting;
        let Config { open_per_proposer, open_total, .. } = self.config;
        if own >= open_per_proposer {
            return Err(Error::Busy { open: own, max: open_per_proposer });
        }
        if all >= open_total {
            return Err(Error::Busy { open: all, max: open_total });
        }
        Ok(())
    }

    fn on_down(&mut self, now: Time, life: Life, out: &mut impl Sink<Effect>) {
        let Some(rank) = self.electorate.rank(life.peer) else {
            return;
        };
        // The death of an earlier life says nothing about this one.
        if self.lives.get(&rank).is_some_and(|known| *known > life.incarnation) {
            return;
        }
        self.lives.insert(rank, life.incarnation);
        self.down.entry(rank).or_insert((life.incarnation, now));
        self.on_deadline(now, out);
    }

    fn on_up(&mut self, life: Life) {
        let Some(rank) = self.electorate.rank(life.peer) else {
            return;
        };
        if self.down.get(&rank).is_some_and(|(dead, _)| *dead < life.incarnation) {
            self.down.remove(&rank);
        }
        let known = self.lives.entry(rank).or_default();
        *known = (*known).max(life.incarnation);
    }

    fn on_deadline(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        for id in self.instances.keys().copied().collect::<Vec<_>>() {
            self.within(now, id, out, |_, _, _| {});
        }
    }
}

/// Stores what a checked message says.
fn receive<S: Sink<Effect>>(
    instance: &mut Instance,
    from: Rank,
    message: Message,
    (ground, out): (&Ground<'_>, &mut S),
) {
    if instance.decided().is_some() {
        match &message {
            Message::Certificate(certificate) => {
                if let crate::Vote::Finalize(..) = certificate.vote {
                    instance.knows(from);
                    return instance.add_certificate(certificate.clone(), ground, out);
                }
            }
            Message::Want(_, rounds) => return instance.answer((from, rounds), ground, out),
            _ => {}
        }
        instance.inform(from, ground, out);
    }
    match message {
        Message::Submission(_) => {}
        Message::Ballot(pair) => instance.add_ballot(pair.1, ground, out),
        Message::Statement(signed) => match signed.statement {
            Statement::Timeout => instance.add_timeout(signed.rank, signed.seal),
            Statement::Vote(vote) => {
                instance.add_vote((signed.rank, vote), signed.seal, ground, out);
            }
            Statement::Submit | Statement::Ballot(_) => {}
        },
        Message::Propose(propose) => instance.add_propose(*propose, ground, out),
        Message::Certificate(certificate) => {
            if let crate::Vote::Finalize(..) = certificate.vote {
                instance.knows(from);
            }
            instance.add_certificate(certificate, ground, out);
        }
        Message::Evidence(evidence) => instance.accuse(*evidence, ground, out),
        Message::Want(_, rounds) => instance.answer((from, &rounds), ground, out),
    }
}
