//! The wire's frozen bytes: a change of any of them is a new protocol version.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use formic_completion::{
    Attestation, Certificate, Decree, Fact, JobSpec, Seal, Signal, Statement, Tail, Tally, Waiter,
};
use formic_core::{
    Descriptor, Digest, Epoch, Failure, FateId, Incarnation, JobId, Key, Life, Member, Outcome,
    Output, OutputFile, PeerId, View, wire,
};
use formic_identity::Signature;
use formic_node::{Ended, Message, Reply, Request};

const VECTORS: &str = include_str!("../vectors/node.txt");

fn life(byte: u8) -> Life {
    Life::new(PeerId::from_bytes([byte; 32]), Incarnation(u64::from(byte)))
}

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 16])
}

fn descriptor() -> Arc<Descriptor> {
    Arc::new(Descriptor {
        kind: "hash".into(),
        name: "src".into(),
        requires: vec!["fs".parse().unwrap(), "hash".parse().unwrap()],
        payload: br#"{"path":"src"}"#.to_vec(),
        recipe: vec![],
        wall: Some(std::time::Duration::from_secs(900)),
        exclusive: Some(std::time::Duration::from_secs(1)),
    })
}

fn output() -> Outcome {
    let digest = Digest::from_bytes([9; 32]);
    let file = OutputFile { name: "r".into(), path: "/r".into(), size: 5, digest };
    Outcome::Ok(Output { value: br#""ab""#.to_vec(), files: vec![file] })
}

fn tally() -> Tally {
    Tally { tasks: 3, ok: 2, failed: 1, executions: 4 }
}

fn decree() -> Arc<Decree> {
    Arc::new(Decree { outcome: output(), tally: tally() })
}

fn statement() -> Statement {
    Statement {
        job: JobId::from_bytes([7; 16]),
        plan: Digest::from_bytes([8; 32]),
        result: Digest::from_bytes([9; 32]),
        tally: tally(),
        home: vec![life(1), life(2), life(3)],
        sealed: vec![(life(1), Seal::default())],
        excluded: vec![life(2)],
    }
}

fn completion(message: formic_completion::Message) -> Message {
    Message::Completion { job: JobId::from_bytes([7; 16]), message }
}

fn ledger_messages() -> Vec<(&'static str, formic_completion::Message)> {
    use formic_completion::Message as M;
    let spec = JobSpec {
        job: JobId::from_bytes([7; 16]),
        root: descriptor(),
        plan: Digest::from_bytes([8; 32]),
        home: vec![life(1)],
    };
    let waiter = Waiter { life: life(1), owner: key(2) };
    let failure = Failure { code: "exit-1".into(), message: "no".into(), retryable: true };
    let fact = Fact {
        key: key(4),
        by: life(2),
        outcome: Outcome::Failed(failure),
        tails: vec![Tail { key: key(5), life: Some(life(3)), descriptor: descriptor() }],
        tally: tally(),
        slot: core::time::Duration::from_millis(7),
    };
    let signal = Signal {
        accepted: vec![key(1)],
        done: vec![fact],
        taken: vec![key(2)],
        cancelled: vec![(key(3), key(4))],
        unknown: vec![key(5)],
    };
    let work = M::Work {
        key: key(3),
        attempt: 2,
        descriptor: descriptor(),
        waiter,
        grand: vec![waiter],
        hints: vec![(key(6), life(2))],
    };
    vec![
        ("home_put", M::HomePut { spec: Arc::new(spec), later: vec![] }),
        ("home_ack", M::HomeAck { generation: 0 }),
        ("home_back", M::HomeBack { generation: 0 }),
        ("home_back_ack", M::HomeBackAck),
        ("ask", M::Ask { home: Some(1) }),
        ("work", work),
        ("signal", M::Signal(signal)),
        ("orphan", M::Orphan { key: key(1), owner: key(2) }),
        ("probe", M::Probe { result: Digest::from_bytes([9; 32]), generation: 0 }),
        ("sealed", M::Sealed { seal: Seal::default() }),
        ("attest", M::Attest { statement: Arc::new(statement()), generation: 0 }),
    ]
}

fn register_messages() -> Vec<(&'static str, Message)> {
    use formic_register::{Ballot, Message as M};
    let ballot = Ballot { round: 2, rank: 1 };
    let value = || formic_completion::Ruling::Result((*decree()).clone());
    let all = [
        ("register_prepare", M::Prepare { ballot }),
        ("register_promise", M::Promise { ballot, accepted: Some((ballot, value())) }),
        ("register_accept", M::Accept { ballot, value: value() }),
        ("register_accepted", M::Accepted { ballot }),
        ("register_refuse", M::Refuse { ballot, promised: ballot }),
        ("register_decided", M::Decided(value())),
        ("register_succeed", M::Decided(formic_completion::Ruling::Succeed(vec![life(2)]))),
    ];
    let wrap =
        |message| completion(formic_completion::Message::Register { generation: 0, message });
    all.into_iter().map(|(name, message)| (name, wrap(message))).collect()
}

fn member_messages() -> Vec<(&'static str, Message)> {
    use formic_mesh::{Cast, CastMessage, Message as M, Order, Record, Refusal, Scope};
    let mesh = Digest::from_bytes([6; 32]);
    let record = Record {
        life: life(1),
        version: 3,
        name: "ada".into(),
        addresses: vec!["quic:127.0.0.1:7001".parse().unwrap()],
        capabilities: vec!["hash".parse().unwrap()],
        slots: 2,
        draining: false,
        labels: vec![],
    };
    let (fate, boxed) = (FateId(7), Box::new(record.clone()));
    let cast = Cast {
        origin: life(1),
        stream: 2,
        seq: 3,
        epoch: Epoch(4),
        order: Order::Ordered,
        scope: Scope::All,
        payload: vec![1, 2],
    };
    let all = [
        ("mesh_knock", M::Knock { mesh: Some(mesh), fate, record: boxed }),
        ("mesh_welcome", M::Welcome { mesh, view: view(), records: vec![record.clone()] }),
        ("mesh_who", M::Who { max: 8 }),
        ("mesh_peers", M::Peers { peers: vec![(life(1).peer, record.addresses.clone())] }),
        ("mesh_root", M::Root { root: 5 }),
        ("mesh_same", M::Same),
        ("mesh_cast", M::Cast(CastMessage::Cast { cast: Arc::new(cast), follows: Some(2) })),
        ("mesh_refused", M::Refused { reason: Refusal::WrongMesh { ours: mesh } }),
        ("mesh_delta", M::Delta { mesh, records: vec![record], slots: vec![] }),
        ("mesh_leave", M::Leave),
    ];
    all.into_iter().map(|(name, message)| (name, Message::Mesh(message))).collect()
}

fn view() -> Arc<View> {
    let member = |n| Member { life: life(n), fate: FateId(u64::from(n)) };
    Arc::new(View { members: vec![member(1), member(2)], ..View::found(member(1)) })
}

fn healing_messages() -> Vec<(&'static str, Message)> {
    use formic_healing::{Beat, Cause, Cut, Evidence, Message as M};
    let (epoch, life) = (Epoch(4), life(2));
    let beat = Beat { epoch, view: 5, seq: 300, promise_ms: 100, lag_ms: 2, condemned: 6 };
    let alerts =
        Evidence::Alerts { epoch, alerts: vec![(self::life(1), 9)], lost: vec![self::life(3)] };
    let member = Member { life, fate: FateId(2) };
    let cut = Arc::new(Cut { evict: vec![(self::life(3), Cause::Silent)], admit: vec![member] });
    let ballot = formic_register::Ballot { round: 1, rank: 0 };
    let message = formic_register::Message::Accept { ballot, value: cut };
    let observer = self::life(1);
    let all = [
        ("healing_beat", M::Beat(beat)),
        ("healing_alert", M::Alert { epoch, suspects: vec![(life, 9)] }),
        ("healing_verdict", M::Verdict { epoch, life, evidence: alerts }),
        ("healing_said", M::Verdict { epoch, life, evidence: Evidence::Said(Cause::Left) }),
        ("healing_absolve", M::Absolve { epoch, life, observer, seq: 10 }),
        ("healing_probe", M::Probe { number: 7 }),
        ("healing_probe_ack", M::ProbeAck { number: 7 }),
        ("healing_pause", M::Pause { span_ms: 5_000 }),
        ("healing_pause_ack", M::PauseAck),
        ("healing_resume", M::Resume),
        ("healing_ask", M::Ask { member }),
        ("healing_ballot", M::Ballot { epoch, base: Digest::from_bytes([8; 32]), message }),
        ("healing_still_here", M::StillHere { epoch, life }),
        ("healing_want", M::Want { epoch }),
        ("healing_committed", M::Committed { views: vec![view()] }),
        ("healing_force", M::Force { view: view() }),
        ("healing_consent", M::Consent { view: Digest::from_bytes([8; 32]) }),
    ];
    all.into_iter().map(|(name, message)| (name, Message::Healing(message))).collect()
}

fn work_messages() -> Vec<(&'static str, Message)> {
    use formic_core::Kind;
    use formic_work::{Load, Message as M, Offer, Probe, Reason, TaskId};
    let task = TaskId { job: JobId::from_bytes([7; 16]), key: key(1) };
    let load = Load { running: 1, queued: 2, slots: 3 };
    let requires = vec!["hash".parse().unwrap()];
    let (kind, mean_us, holds_us) = (Kind::of("hash"), 20_000, 2_000);
    let probe = Probe { id: 1, count: 2, asked: 3, kind, requires, mean_us, holds_us };
    let offer = Offer { room: 4, wait_us: 0, service_us: 20_000 };
    let all = [
        ("work_probe", M::Probe(probe)),
        ("work_promise", M::Promise { id: 1, load, offer: Some(offer) }),
        ("work_promise_no", M::Promise { id: 1, load, offer: None }),
        ("work_returned", M::Returned { tasks: vec![(task, 1)], reason: Reason::Draining }),
        ("work_interest", M::Interest { tasks: 3 }),
        ("work_room", M::Room { room: 4 }),
        ("work_waits", M::Waits { tasks: vec![(task, 1)] }),
    ];
    all.into_iter().map(|(name, message)| (name, Message::Work(message))).collect()
}

fn trail_messages() -> Vec<(&'static str, Message)> {
    use formic_node::TrailStatus;
    use formic_pheromones::{Kind, Message as M, Record};
    let (kind, subject) = (Kind::of("hash"), life(2).peer);
    let record = Record { kind, subject, count: 64, mean_us: 20_000, verified: 16, good: 10_000 };
    let trails = M::Trails { epoch: Epoch(2), seq: 3, records: vec![record] };
    let status = TrailStatus {
        kind: "hash".to_owned(),
        peer: subject,
        samples_milli: 2_500,
        service_us: 20_000,
        honesty_permille: 1_000,
    };
    vec![
        ("pheromones_trails", Message::Pheromones(trails)),
        ("request_trails", Message::Request(Request::Trails)),
        ("reply_trails", Message::Reply(Reply::Trails(vec![status]))),
    ]
}

fn claims_messages() -> Vec<(&'static str, Message)> {
    use formic_register::claims::{Ask, Fence, Message as M, Refusal, Snapshot, Stamp, Task};
    let (task, born) = (Task { job: JobId::from_bytes([7; 16]), key: key(1) }, Epoch(2));
    let stamp = Stamp { fence: Fence { epoch: born, attempt: 3 }, holder: life(1) };
    let ask = Ask { task, born, stamp, set: born };
    let (lease, value) = (core::time::Duration::from_secs(1), Ended(output()));
    let decided = Some((stamp, value.clone()));
    let state = Snapshot { promised: Some(stamp), accepted: None, decided, leases: vec![] };
    let (epoch, state) = (Epoch(3), Box::new(state));
    let messages = vec![
        ("claims_prepare", M::Prepare { ask, lease }),
        ("claims_promise", M::Promise { ask, accepted: Some((stamp, value.clone())) }),
        ("claims_accept", M::Accept { ask, value: value.clone() }),
        ("claims_accepted", M::Accepted { ask }),
        ("claims_renew", M::Renew { ask, lease, serial: 4 }),
        ("claims_renewed", M::Renewed { ask, serial: 4 }),
        ("claims_release", M::Release { task, stamp }),
        ("claims_refuse", M::Refuse { ask, why: Refusal::Held { remaining: lease } }),
        ("claims_decided", M::Decided { task, born, stamp, value }),
        ("claims_pull", M::Pull { task, born, epoch }),
        ("claims_state", M::State { task, epoch, installed: born, state }),
        ("claims_hint", M::Hint { task, born, epoch }),
        ("claims_installed", M::Installed { task, epoch }),
        ("claims_what_is_known", M::WhatIsKnown { job: task.job, epoch }),
        ("claims_known", M::Known { job: task.job, epoch, installed: born, keys: vec![key(1)] }),
    ];
    let boxed = |message| Message::Claims(Box::new(message));
    let mut all: Vec<_> =
        messages.into_iter().map(|(name, message)| (name, boxed(message))).collect();
    let job = JobId::from_bytes([7; 16]);
    all.push(("claims_who_keeps", Message::WhoKeeps { job }));
    all.push(("claims_keepers", Message::Keepers { job, groups: vec![vec![life(1)]] }));
    all
}

fn vote_messages() -> Vec<(&'static str, Message)> {
    use formic_consensus::{
        Ballot, Body, Certificate, Evidence, InstanceId, Message as M, Outcome, Policy, Propose,
        Rank, Reason, Rejection, Seal, Signed, Statement, Submission, Value, Verdict, Vote,
        Weighting,
    };
    use formic_node::{Case, Decision, Say, Votes};
    let digest = |byte| Digest::from_bytes([byte; 32]);
    let (job, instance) = (JobId::from_bytes([7; 16]), InstanceId(digest(5)));
    let floors = [800, 0, 0, 800, 0];
    let weighting = Weighting::Equal;
    let policy = Policy { threshold: 900, weighting, deadline_ms: 30_000, floors };
    let voters = vec![life(1).peer, life(2).peer];
    let (name, content, author) = ("check".to_owned(), b"{}".to_vec(), Some(life(1).peer));
    let case =
        Case { voters: voters.clone(), task: key(1), name, attempt: 1, author, policy, content };
    let (rank, seal) = (Rank(1), Seal(vec![6; 64]));
    let signed = |statement| Signed { instance, rank, statement, seal: seal.clone() };
    let submission = Submission { proposal: case.proposal(), proposer: rank, seal: seal.clone() };
    let verdict = Verdict::Reject(Reason::Untested);
    let ballot = Ballot { verdict, scores: [1, 2, 3, 4, 0xffff], comment: digest(0) };
    let outcome = Outcome::Rejected(Rejection::Floor(3));
    let (ballots_root, evidence_root) = (digest(3), digest(4));
    let value = Value { outcome, ballots: 1, ballots_root, evidence: 1, evidence_root };
    let notarize = signed(Statement::Vote(Vote::Notarize(1, value)));
    let pair = Evidence { one: signed(Statement::Ballot(ballot)), two: signed(Statement::Timeout) };
    let seals = vec![(rank, seal.clone())];
    let finalized = Certificate { instance, vote: Vote::Finalize(1, value), seals: seals.clone() };
    let ballots = vec![(rank, ballot, seal.clone())];
    let body = Body { ballots, evidence: vec![pair.clone()], timeouts: seals };
    let certificates = vec![finalized.clone()];
    let propose = Propose { vote: notarize.clone(), body: Some(body.clone()), certificates };
    let vote = |message| Say::Vote(vec![4; 44], Box::new(message));
    let (mesh, task, name, proof) = (digest(1), key(1), "check".to_owned(), vec![8, 9]);
    let decision = Decision { mesh, job, task, name, proof, body: Some(body) };
    let with = Box::new((submission.clone(), signed(Statement::Ballot(ballot))));
    let all = [
        ("votes_case", Say::Case(Arc::new(case))),
        ("votes_submission", vote(M::Submission(submission))),
        ("votes_ballot", vote(M::Ballot(with))),
        ("votes_timeout", vote(M::Statement(Box::new(signed(Statement::Timeout))))),
        ("votes_nullify", vote(M::Statement(Box::new(signed(Statement::Vote(Vote::Nullify(2))))))),
        ("votes_propose", vote(M::Propose(Box::new(propose)))),
        ("votes_certificate", vote(M::Certificate(finalized))),
        ("votes_evidence", vote(M::Evidence(Box::new(pair)))),
        ("votes_want", vote(M::Want(instance, vec![1, 2]))),
        ("votes_decided", Say::Decided(Box::new(decision))),
        ("votes_voters", Say::Voters(voters, vec![vec![4; 44].into()])),
        ("votes_who", Say::Who),
        ("votes_what", Say::What(instance)),
    ];
    let message = |say| Message::Votes(Box::new(Votes { job, electorate: digest(2), say }));
    all.into_iter().map(|(name, say)| (name, message(say))).collect()
}

fn certificate() -> Arc<Certificate> {
    let attestation =
        Attestation { signer: life(1), public_key: vec![1; 44], signature: vec![2; 64] };
    Arc::new(Certificate { statement: statement(), attestations: vec![attestation] })
}

fn samples() -> BTreeMap<&'static str, Message> {
    use formic_completion::Message as M;
    let job = JobId::from_bytes([7; 16]);
    let mut samples: BTreeMap<_, _> =
        ledger_messages().into_iter().map(|(name, message)| (name, completion(message))).collect();
    samples.extend(register_messages());
    samples.extend(member_messages());
    samples.extend(work_messages());
    samples.extend(trail_messages());
    samples.extend(healing_messages());
    samples.extend(claims_messages());
    samples.extend(vote_messages());
    let announce = M::Announce { decree: decree(), certificate: certificate() };
    samples.insert("announce", completion(announce));
    samples.insert("announce_ack", completion(M::AnnounceAck));
    samples.insert(
        "attestation",
        Message::Attestation {
            job,
            statement: Digest::from_bytes([9; 32]),
            public_key: vec![1; 44],
            signature: Signature::from_bytes([2; 64]),
        },
    );
    let submit = Request::Submit { request: 1, root: descriptor(), plan: Digest::of(&[]) };
    samples.insert("request_submit", Message::Request(submit));
    samples.insert("request_watch", Message::Request(Request::Watch { job }));
    samples.insert("request_status", Message::Request(Request::Status));
    let accepted = Reply::Accepted { request: 1, job, home: vec![life(1)] };
    samples.insert("reply_accepted", Message::Reply(accepted));
    let verdict = Reply::Verdict { job, decree: decree(), certificate: certificate() };
    samples.insert("reply_verdict", Message::Reply(verdict));
    samples
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_message_has_the_bytes_it_always_had() {
    let frozen: BTreeMap<&str, &str> =
        VECTORS.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut missing = String::new();
    for (name, message) in samples() {
        let encoded = hex(&wire::encode(&message).unwrap());
        match frozen.get(name) {
            Some(known) => assert_eq!(encoded, *known, "{name} has other bytes than before"),
            None => writeln!(missing, "{name} {encoded}").unwrap(),
        }
    }
    assert!(missing.is_empty(), "add to tests/vectors/node.txt:\n{missing}");
}

#[test]
fn frozen_bytes_are_read_and_no_prefix_of_them_is() {
    let samples = samples();
    let mut read = 0;
    for (name, hex) in VECTORS.lines().filter_map(|line| line.split_once(' ')) {
        let bytes = bytes(hex);
        let message = wire::decode::<Message>(&bytes).unwrap();
        assert_eq!(Some(&message), samples.get(name), "{name} decodes to something else");
        for end in 0..bytes.len() {
            assert!(wire::decode::<Message>(&bytes[..end]).is_err(), "{name} cut at {end}");
        }
        read += 1;
    }
    assert_eq!(read, samples.len(), "a frozen message is no longer sampled");
}
