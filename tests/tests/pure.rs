//! The wire's frozen bytes: a change of any of them is a new protocol version.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use formic_completion::{
    Attestation, Certificate, Decree, Fact, JobSpec, Seal, Signal, Statement, Tail, Tally, Waiter,
};
use formic_core::{
    Descriptor, Digest, Failure, Incarnation, JobId, Key, Life, Outcome, Output, OutputFile,
    PeerId, wire,
};
use formic_identity::Signature;
use formic_node::{Message, Reply, Request};

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
        ("home_put", M::HomePut { spec: Arc::new(spec) }),
        ("home_ack", M::HomeAck),
        ("home_back", M::HomeBack),
        ("home_back_ack", M::HomeBackAck),
        ("work", work),
        ("signal", M::Signal(signal)),
        ("orphan", M::Orphan { key: key(1), owner: key(2) }),
        ("probe", M::Probe { result: Digest::from_bytes([9; 32]) }),
        ("sealed", M::Sealed { seal: Seal::default() }),
        ("attest", M::Attest { statement: Arc::new(statement()) }),
    ]
}

fn register_messages() -> Vec<(&'static str, Message)> {
    use formic_register::{Ballot, Message as M};
    let ballot = Ballot { round: 2, rank: 1 };
    let value = || (*decree()).clone();
    let all = [
        ("register_prepare", M::Prepare { ballot }),
        ("register_promise", M::Promise { ballot, accepted: Some((ballot, value())) }),
        ("register_accept", M::Accept { ballot, value: value() }),
        ("register_accepted", M::Accepted { ballot }),
        ("register_refuse", M::Refuse { ballot, promised: ballot }),
        ("register_decided", M::Decided(value())),
    ];
    let wrap = |message| completion(formic_completion::Message::Register(message));
    all.into_iter().map(|(name, message)| (name, wrap(message))).collect()
}

fn member_messages() -> Vec<(&'static str, Message)> {
    use formic_mesh::{Message as M, Record, Refusal};
    let mesh = Digest::from_bytes([6; 32]);
    let record = Record {
        life: life(1),
        version: 3,
        name: "ada".into(),
        addresses: vec!["quic:127.0.0.1:7001".parse().unwrap()],
        capabilities: vec!["hash".parse().unwrap()],
        slots: 2,
        draining: false,
    };
    let all = [
        ("mesh_knock", M::Knock { mesh: Some(mesh), record: Box::new(record.clone()) }),
        ("mesh_welcome", M::Welcome { mesh, records: vec![record.clone()] }),
        ("mesh_refused", M::Refused { reason: Refusal::WrongMesh { ours: mesh } }),
        ("mesh_pledge", M::Pledge),
        ("mesh_announce", M::Announce { mesh, records: vec![record] }),
        ("mesh_leave", M::Leave),
    ];
    all.into_iter().map(|(name, message)| (name, Message::Mesh(message))).collect()
}

fn work_messages() -> Vec<(&'static str, Message)> {
    use formic_work::{Load, Message as M, Reason, TaskId};
    let task = TaskId { job: JobId::from_bytes([7; 16]), key: key(1) };
    let load = Load { running: 1, queued: 2, slots: 3 };
    let requires = vec!["hash".parse().unwrap()];
    let all = [
        ("work_probe", M::Probe { id: 1, count: 2, requires }),
        ("work_promise", M::Promise { id: 1, load, room: 4 }),
        ("work_returned", M::Returned { tasks: vec![(task, 1)], reason: Reason::Draining }),
        ("work_interest", M::Interest),
        ("work_room", M::Room { room: 4 }),
    ];
    all.into_iter().map(|(name, message)| (name, Message::Work(message))).collect()
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
    let beat = formic_healing::Message::Beat { seq: 300 };
    samples.insert("healing_beat", Message::Healing(beat));
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
