//! The shipped voters with real keys in one queue of one virtual delay: no loss, no waiting, one thread.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use formic_consensus::{
    Ballot, Config, Consensus, DIMENSIONS, Effect, Electorate, Event, Input, InstanceId, Known,
    Member, Message, Policy, Proposal, PublicKey, Rank, Roster, Seal, Signed, Standing, Statement,
    To, Verdict, Weighting,
};
use formic_core::{Digest, PeerId, Protocol, Time, wire};
use formic_identity::{Entropy, Scheme, SecretKey};

/// One way.
pub const DELAY: Duration = Duration::from_millis(1);

/// A public key of a scheme, as consensus asks for it.
#[derive(Debug)]
pub struct Key<S: Scheme>(pub S::Public);

impl<S: Scheme> PublicKey for Key<S> {
    fn verify(&self, statement: &[u8], signature: &[u8]) -> bool {
        S::verify(&self.0, statement, signature)
    }
}

/// Voters' keys and the electorate they make. Keys cost much, so they are made once.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct Voters<S: Scheme> {
    /// In the order of the members.
    pub secrets: Vec<S::Secret>,
    /// In the order of the members.
    pub publics: Vec<S::Public>,
    /// Number 0 of a mesh.
    pub electorate: Electorate,
}

impl<S: Scheme> Voters<S> {
    /// So many voters, with keys of a fixed seed.
    ///
    /// # Errors
    /// A key could not be made.
    pub fn new(count: usize) -> Result<Self, String> {
        let mut entropy = Entropy::from_seed([7; 32]);
        let mut secrets = vec![];
        for index in 0..count {
            let seed = Digest::of(&[b"voter", &index.to_be_bytes()]);
            let peer = SecretKey::from_seed(*seed.as_bytes()).public().peer_id();
            let secret = S::generate(&mut entropy).map_err(|error| error.to_string())?;
            secrets.push((peer, secret));
        }
        secrets.sort_by_key(|(peer, _)| *peer);
        let member = |(peer, secret): &(PeerId, S::Secret)| Member {
            peer: *peer,
            scheme: S::ID,
            key: S::key_digest(&S::public_of(secret)),
            standing: Standing::default(),
        };
        let members = secrets.iter().map(member).collect();
        let zero = Digest::from_bytes([0; 32]);
        let electorate = Electorate::new(Digest::of(&[b"mesh"]), (0, zero), 501, members);
        let electorate = electorate.map_err(|error| error.to_string())?;
        let secrets: Vec<_> = secrets.into_iter().map(|(_, secret)| secret).collect();
        let publics = secrets.iter().map(S::public_of).collect();
        Ok(Self { secrets, publics, electorate })
    }

    /// What checks their messages.
    ///
    /// # Errors
    /// A key is missing.
    pub fn roster(&self) -> Result<Roster<Key<S>>, String> {
        let keys = self.publics.iter().cloned().map(Key).collect();
        Roster::new(self.electorate.clone(), keys).ok_or_else(|| "a key is missing".to_owned())
    }

    /// A proposal that seven of ten approve.
    pub fn proposal(&self, number: u32) -> Proposal {
        Proposal {
            subject: Digest::of(&[&number.to_be_bytes()]),
            attempt: 0,
            author: None,
            policy: Policy {
                threshold: 700,
                weighting: Weighting::Equal,
                deadline_ms: 120_000,
                floors: [0; DIMENSIONS],
            },
            payload: Digest::of(&[b"payload"]),
        }
    }
}

/// What happened, in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent, each receiver counted.
    pub messages: u64,
    /// Encoded, each receiver counted.
    pub bytes: u64,
    /// When the first proposal of a leader was sent.
    pub proposed: Option<Time>,
    /// When the last living voter decided.
    pub decided: Option<Time>,
    /// Decisions of all voters.
    pub decisions: usize,
}

/// One voter.
struct Voter {
    machine: Consensus,
    known: Known,
    life: Life,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    /// Sends and receives nothing, and nobody knows that it is down.
    Silent,
}

/// All voters, and what is on its way.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct World<'a, S: Scheme> {
    keys: &'a Voters<S>,
    roster: Roster<Key<S>>,
    voters: Vec<Voter>,
    entropy: Entropy,
    now: Time,
    sequence: u64,
    queue: BTreeMap<(Time, u64), (usize, usize, Vec<u8>)>,
    /// What happened so far.
    pub tally: Tally,
    kept: Option<BTreeSet<Vec<u8>>>,
}

impl<'a, S: Scheme> World<'a, S> {
    /// Voters that know nothing yet.
    ///
    /// # Errors
    /// A machine refused its electorate.
    pub fn new(keys: &'a Voters<S>) -> Result<Self, String> {
        let voter = |member: &Member| {
            let machine = Consensus::new(member.peer, keys.electorate.clone(), Config::default());
            let machine = machine.map_err(|error| error.to_string())?;
            Ok(Voter { machine, known: Known::default(), life: Life::Alive })
        };
        Ok(Self {
            keys,
            roster: keys.roster()?,
            voters: keys.electorate.members().iter().map(voter).collect::<Result<_, String>>()?,
            entropy: Entropy::from_seed([9; 32]),
            now: Time::ZERO,
            sequence: 0,
            queue: BTreeMap::new(),
            tally: Tally::default(),
            kept: None,
        })
    }

    /// From here on this voter sends and receives nothing, and nobody knows.
    pub fn silence(&mut self, rank: Rank) {
        self.voters[rank.index()].life = Life::Silent;
    }

    /// Lets a voter open a proposal and runs until all that live decided and nothing is on its way.
    ///
    /// # Errors
    /// A voter refused something.
    pub fn decide(&mut self, proposal: Proposal, by: Rank) -> Result<InstanceId, String> {
        let id = proposal.instance(&self.keys.electorate);
        self.feed(by.index(), Input::Open(proposal))?;
        loop {
            if let Some(((at, _), (from, to, bytes))) = self.queue.pop_first() {
                self.now = self.now.max(at);
                self.deliver(from, to, &bytes)?;
                continue;
            }
            let living = || self.voters.iter().filter(|voter| voter.life == Life::Alive);
            if living().all(|voter| voter.machine.decided(id).is_some()) {
                return Ok(id);
            }
            self.wake()?;
        }
    }

    /// The certificate of a decision, as the first living voter keeps it.
    pub fn proof(&self, id: InstanceId) -> Option<&formic_consensus::Certificate> {
        self.voters.iter().find_map(|voter| voter.machine.proof(id))
    }

    /// From here on encoded messages are kept, each once.
    pub fn keep_messages(&mut self) {
        self.kept = Some(BTreeSet::new());
    }

    /// The messages that were kept, ascending.
    pub fn kept(&mut self) -> Vec<Vec<u8>> {
        self.kept.take().into_iter().flatten().collect()
    }

    fn deliver(&mut self, from: usize, to: usize, bytes: &[u8]) -> Result<(), String> {
        let message: Message = wire::decode(bytes).map_err(|error| error.to_string())?;
        let verified = self.roster.check_known(message, &mut self.voters[to].known);
        let message = Box::new(verified.map_err(|error| error.to_string())?);
        let from = self.keys.electorate.members()[from].peer;
        self.feed(to, Input::Message { from, message })
    }

    /// Nothing is on its way: the first deadline.
    fn wake(&mut self) -> Result<(), String> {
        let living = self.voters.iter().enumerate().filter(|(_, it)| it.life == Life::Alive);
        let due = living.filter_map(|(rank, voter)| Some((voter.machine.deadline()?, rank))).min();
        let (at, rank) = due.ok_or("nobody waits and not all decided")?;
        self.now = self.now.max(at);
        self.feed(rank, Input::Deadline)
    }

    fn feed(&mut self, rank: usize, input: Input) -> Result<(), String> {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = vec![];
            let handled = self.voters[rank].machine.handle(self.now, input, &mut out);
            handled.map_err(|error| error.to_string())?;
            for effect in out {
                inputs.extend(self.act(rank, effect)?);
            }
        }
        Ok(())
    }

    fn act(&mut self, rank: usize, effect: Effect) -> Result<Option<Input>, String> {
        match effect {
            Effect::Persist(_) => {}
            Effect::Sign(id, statement) => {
                return self.sign(rank, id, statement).map(Some);
            }
            Effect::Send(to, message) => self.send(rank, to, &message)?,
            Effect::Event(Event::Judge(id, _)) => {
                let comment = Digest::from_bytes([0; 32]);
                let scores = [900; DIMENSIONS];
                let ballot = Ballot { verdict: Verdict::Approve, scores, comment };
                return Ok(Some(Input::Opinion(id, ballot)));
            }
            Effect::Event(Event::Decided(..)) => {
                self.tally.decisions += 1;
                self.tally.decided = Some(self.now);
            }
            Effect::Event(Event::Stalled(..)) => {}
            Effect::Event(Event::Misbehaved(peer)) => return Err(format!("{peer} misbehaved")),
        }
        Ok(None)
    }

    fn sign(&mut self, rank: usize, id: InstanceId, what: Statement) -> Result<Input, String> {
        let voter = &mut self.voters[rank];
        let at = voter.machine.rank();
        let bytes = what.bytes(&self.keys.electorate, id, at);
        let seal = S::sign(&self.keys.secrets[rank], &bytes, &mut self.entropy);
        let seal = Seal(seal.map_err(|error| error.to_string())?);
        let signed = Signed { instance: id, rank: at, statement: what, seal: seal.clone() };
        self.roster.own(&signed, &mut voter.known);
        Ok(Input::Signed(id, what, seal))
    }

    fn send(&mut self, from: usize, to: To, message: &Message) -> Result<(), String> {
        if matches!(message, Message::Propose(_)) {
            self.tally.proposed.get_or_insert(self.now);
        }
        let bytes = wire::encode(message).map_err(|error| error.to_string())?;
        if let Some(kept) = &mut self.kept {
            kept.insert(bytes.clone());
        }
        let targets: Vec<usize> = match to {
            To::One(peer) => self.keys.electorate.rank(peer).map(Rank::index).into_iter().collect(),
            To::Electorate => (0..self.voters.len()).filter(|to| *to != from).collect(),
        };
        for to in targets {
            self.tally.messages += 1;
            self.tally.bytes += bytes.len() as u64;
            let lives = |rank: usize| self.voters[rank].life == Life::Alive;
            if lives(from) && lives(to) {
                self.sequence += 1;
                let at = (self.now + DELAY, self.sequence);
                self.queue.insert(at, (from, to, bytes.clone()));
            }
        }
        Ok(())
    }
}
