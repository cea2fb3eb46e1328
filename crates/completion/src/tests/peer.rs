//! One machine with a clock, and what tests ask of it.

use core::time::Duration;

use super::*;

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn life(number: u8, incarnation: u64) -> Life {
    Life::new(PeerId::from_bytes([number; 32]), Incarnation(incarnation))
}

pub(super) fn job() -> JobId {
    JobId::derive(life(1, 1), 1)
}

pub(super) fn task(name: &str) -> Arc<Descriptor> {
    Arc::new(Descriptor {
        kind: "test".to_owned(),
        name: name.to_owned(),
        requires: vec![],
        payload: vec![],
        recipe: vec![],
        wall: None,
        exclusive: None,
    })
}

pub(super) fn root() -> Key {
    Key::root(job(), task("root").digest())
}

pub(super) fn child(owner: Key, index: u64, name: &str) -> Key {
    Key::child(job(), owner, index, task(name).digest())
}

pub(super) fn spec(home: &[Life]) -> Arc<JobSpec> {
    let plan = Digest::of(&[b"plan"]);
    Arc::new(JobSpec { job: job(), root: task("root"), plan, home: home.to_vec() })
}

pub(super) fn ok() -> Outcome {
    Outcome::Ok(Output { value: b"done".to_vec(), files: vec![] })
}

pub(super) fn fact(key: Key, by: Life) -> Fact {
    Fact {
        key,
        by,
        outcome: ok(),
        tails: vec![],
        tally: Tally { tasks: 1, ok: 1, failed: 0, executions: 0 },
        slot: Duration::ZERO,
    }
}

pub(super) fn done(fact: Fact) -> Message {
    Message::Signal(Signal { done: vec![fact], ..Signal::default() })
}

pub(super) fn accepted(key: Key) -> Message {
    Message::Signal(Signal { accepted: vec![key], ..Signal::default() })
}

pub(super) fn cancelled(key: Key, owner: Key) -> Message {
    Message::Signal(Signal { cancelled: vec![(key, owner)], ..Signal::default() })
}

/// Work of attempt 1 without grand waiters and hints.
pub(super) fn work(key: Key, name: &str, life: Life, owner: Key) -> Message {
    Message::Work {
        key,
        attempt: 1,
        descriptor: task(name),
        waiter: Waiter { life, owner },
        grand: vec![],
        hints: vec![],
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) machine: Completion,
    pub(super) now: Time,
}

impl Peer {
    pub(super) fn new(me: Life) -> Self {
        Self { machine: Completion::new(Config::default(), me, job()), now: Time::ZERO }
    }

    /// A peer that is home alone; its root runs.
    pub(super) fn alone(me: Life) -> Self {
        let mut peer = Self::new(me);
        let out = peer.feed(Input::Submit { spec: spec(&[me]) });
        assert!(out.iter().any(|effect| matches!(effect, Effect::Execute { root: true, .. })));
        peer
    }

    pub(super) fn feed(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &mut out).unwrap();
        self.machine.check();
        out
    }

    /// Feeds what must be refused: state unchanged, nothing pushed.
    pub(super) fn refuses(&mut self, input: Input) -> Error {
        let before = self.clone();
        let mut out = Vec::new();
        let error = self.machine.handle(self.now, input, &mut out).unwrap_err();
        assert_eq!((&*self, out), (&before, vec![]));
        error
    }

    pub(super) fn hears(&mut self, from: Life, message: Message) -> Vec<Effect> {
        self.feed(Input::Message { from, message })
    }

    pub(super) fn up(&mut self, life: Life) -> Vec<Effect> {
        self.feed(Input::Up { life })
    }

    pub(super) fn down(&mut self, life: Life) -> Vec<Effect> {
        self.feed(Input::Down { life })
    }

    pub(super) fn spawn(&mut self, owner: Key, index: u64, name: &str, mode: Spawn) -> Vec<Effect> {
        self.feed(Input::Spawn { owner, index, descriptor: task(name), mode })
    }

    pub(super) fn placed(&mut self, key: Key, attempt: u16, life: Life) -> Vec<Effect> {
        self.feed(Input::Placed { key, attempt, life })
    }

    pub(super) fn ends(&mut self, key: Key) -> Vec<Effect> {
        self.feed(Input::BodyFinished { key, outcome: ok(), slot: Duration::ZERO })
    }

    /// Lets time pass; every deadline in it is kept.
    pub(super) fn wait(&mut self, span: Duration) -> Vec<Effect> {
        let end = self.now + span;
        let mut out = Vec::new();
        while let Some(at) = self.machine.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            out.extend(self.feed(Input::Deadline));
        }
        self.now = end;
        out
    }
}

/// The messages to one life, signals of one batch apart.
pub(super) fn to(out: &[Effect], life: Life) -> Vec<Message> {
    let sent = |effect: &Effect| match effect {
        Effect::Send { to, message } if *to == life => Some(message.clone()),
        _ => None,
    };
    out.iter().filter_map(sent).collect()
}

pub(super) fn works(out: &[Effect], life: Life) -> Vec<Key> {
    let key = |message| match message {
        Message::Work { key, .. } => Some(key),
        _ => None,
    };
    to(out, life).into_iter().filter_map(key).collect()
}

/// All signals to one life, as one.
pub(super) fn signals(out: &[Effect], life: Life) -> Signal {
    let mut all = Signal::default();
    for message in to(out, life) {
        if let Message::Signal(signal) = message {
            all.accepted.extend(signal.accepted);
            all.done.extend(signal.done);
            all.taken.extend(signal.taken);
            all.cancelled.extend(signal.cancelled);
            all.unknown.extend(signal.unknown);
        }
    }
    all
}

pub(super) fn events(out: &[Effect]) -> Vec<Event> {
    let event = |effect: &Effect| match effect {
        Effect::Event(event) => Some(event.clone()),
        _ => None,
    };
    out.iter().filter_map(event).collect()
}

pub(super) fn executes(out: &[Effect]) -> Vec<Key> {
    let key = |effect: &Effect| match effect {
        Effect::Execute { key, .. } => Some(*key),
        _ => None,
    };
    out.iter().filter_map(key).collect()
}

/// What home signs when nothing was disturbed and nobody else is a member.
pub(super) fn statement(home: &[Life], sealed: &[Life], excluded: &[Life]) -> Statement {
    let seals = sealed.iter().map(|life| (*life, Seal::default()));
    Statement {
        job: job(),
        plan: Digest::of(&[b"plan"]),
        result: ok().digest(),
        tally: Tally::default(),
        home: home.to_vec(),
        sealed: seals.collect(),
        excluded: excluded.to_vec(),
    }
}

pub(super) fn attestation(signer: Life) -> Attestation {
    Attestation { signer, public_key: vec![], signature: vec![] }
}

/// The verdict of a home group, signed by all of it.
pub(super) fn announce(home: &[Life]) -> Message {
    let attestations = home.iter().copied().map(attestation).collect();
    let certificate = Certificate { statement: statement(home, home, &[]), attestations };
    let decree = Decree { outcome: ok(), tally: Tally::default() };
    Message::Announce { decree: Arc::new(decree), certificate: Arc::new(certificate) }
}

/// The digests this life is asked to sign for itself.
pub(super) fn signs(out: &[Effect], me: Life) -> Vec<Digest> {
    let digest = |effect: &Effect| match effect {
        Effect::Sign { to, statement } if *to == me => Some(*statement),
        _ => None,
    };
    out.iter().filter_map(digest).collect()
}

pub(super) fn verdict(out: &[Effect]) -> Option<Arc<Verdict>> {
    events(out).into_iter().find_map(|event| match event {
        Event::Verdict(verdict) => Some(verdict),
        _ => None,
    })
}

pub(super) fn completes(out: &[Effect]) -> bool {
    events(out).iter().any(|event| matches!(event, Event::Complete { .. }))
}

pub(super) const fn sealed() -> Message {
    Message::Sealed {
        seal: Seal { live_before: 0, sent: 0, accepted: 0, finished: 0, disturbed: 0 },
    }
}

impl Peer {
    /// Signs what this life was asked to sign for itself; returns what follows.
    pub(super) fn attests(&mut self, out: &[Effect]) -> Vec<Effect> {
        let me = self.machine.me;
        let digests = signs(out, me);
        assert!(!digests.is_empty(), "nothing to sign in {out:?}");
        let input = |statement| Input::Attested { statement, attestation: attestation(me) };
        digests.into_iter().flat_map(|statement| self.feed(input(statement))).collect()
    }
}
