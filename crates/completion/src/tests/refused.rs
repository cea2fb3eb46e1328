//! Bad input: a typed error that names whose fault it is, state unchanged, nothing pushed.

use formic_core::{Blame, Fault};

use super::{peer::*, *};

fn group() -> [Life; 3] {
    [life(1, 1), life(2, 1), life(3, 1)]
}

/// Rank 1 that knows the job and its result.
fn decided() -> Peer {
    let mut peer = Peer::new(life(2, 1));
    peer.hears(life(1, 1), Message::HomePut { spec: spec(&group()), later: vec![] });
    let decree = Decree { outcome: ok(), tally: Tally::default() };
    peer.hears(
        life(1, 1),
        Message::Register {
            generation: 0,
            message: formic_register::Message::Decided(Ruling::Result(decree)),
        },
    );
    peer
}

#[test]
fn callers() {
    let mut peer = Peer::alone(life(1, 1));
    let done = child(root(), 9, "x");
    let spawn =
        |owner| Input::Spawn { owner, index: 0, descriptor: task("a"), mode: Spawn::Nested };
    let message = Input::Message { from: life(1, 1), message: Message::HomeAck { generation: 0 } };
    let cases = [
        (Input::Submit { spec: spec(&[life(1, 1)]) }, Error::SubmittedTwice),
        (Input::Restore { records: vec![] }, Error::RestoreNotFirst),
        (spawn(done), Error::NotRunning { owner: done }),
        (message, Error::FromMyself),
    ];
    for (input, error) in cases {
        assert_eq!(peer.refuses(input), error);
        assert_eq!(error.fault(), Fault::Caller);
    }
    peer.ends(root());
    assert_eq!(peer.refuses(spawn(root())), Error::NotRunning { owner: root() });
    peer.wait(ms(10));
    peer.feed(Input::Deadline);
    let mut out = Vec::new();
    let error = peer.machine.handle(Time::ZERO, Input::Deadline, &mut out);
    assert_eq!(error, Err(Error::ClockWentBack { last: peer.now, now: Time::ZERO }));
}

#[test]
fn submissions() {
    let cases: [&[Life]; 4] = [
        &[],
        &[life(2, 1), life(1, 1), life(3, 1)],
        &[life(1, 1), life(2, 1), life(2, 2)],
        &[life(1, 1), life(2, 1), life(3, 1), life(4, 1)],
    ];
    for home in cases {
        let mut peer = Peer::new(life(1, 1));
        let error = peer.refuses(Input::Submit { spec: spec(home) });
        assert_eq!(error, Error::BadSubmit { job: job(), home: home.len() });
    }
}

#[test]
fn home_records() {
    let mut stranger = Peer::new(life(9, 1));
    let from = life(1, 1);
    let put = |home: &[Life]| Message::HomePut { spec: spec(home), later: vec![] };
    let refused = |peer: &mut Peer, from, message| peer.refuses(Input::Message { from, message });
    let mismatch = Error::HomeMismatch { from };
    assert_eq!(refused(&mut stranger, from, put(&group())), mismatch, "does not name it");
    assert_eq!(mismatch.fault(), Fault::Peer(from.peer));
    let mut peer = decided();
    assert_eq!(refused(&mut peer, from, put(&[from, life(2, 1)])), mismatch, "another one");
    let other = life(8, 1);
    assert_eq!(refused(&mut peer, other, put(&group())), Error::HomeMismatch { from: other });
    let not_home = Error::NotFromHome { from: other };
    assert_eq!(refused(&mut peer, other, Message::HomeBack { generation: 0 }), not_home);
    assert_eq!(
        refused(&mut peer, other, Message::Probe { result: ok().digest(), generation: 0 }),
        not_home
    );
}

#[test]
fn results() {
    let mut peer = decided();
    let from = life(1, 1);
    let wrong = Error::OtherResult { from };
    let other = Outcome::failed("other", "result");
    let probe = Message::Probe { result: other.digest(), generation: 0 };
    assert_eq!(peer.refuses(Input::Message { from, message: probe }), wrong);
    let good = statement(&group(), &[from], &[]);
    let tally = Tally { tasks: 1, ok: 1, failed: 0, executions: 1 };
    let statements = [
        Statement { result: other.digest(), ..good.clone() },
        Statement { tally, ..good.clone() },
        Statement { plan: Digest::of(&[b"other"]), ..good.clone() },
        Statement { home: vec![from], ..good },
    ];
    for statement in statements {
        let message = Message::Attest { statement: Arc::new(statement), generation: 0 };
        assert_eq!(peer.refuses(Input::Message { from, message }), wrong);
    }
    assert_eq!(wrong.fault(), Fault::Peer(from.peer));
}

#[test]
fn announcements() {
    let mut peer = Peer::new(life(2, 1));
    let from = life(1, 1);
    let good = announce(&group());
    let Message::Announce { decree, certificate } = good else { unreachable!() };
    let mut few = (*certificate).clone();
    few.attestations.truncate(1);
    let message = Message::Announce { decree: Arc::clone(&decree), certificate: Arc::new(few) };
    let why = crate::BadCertificate::NoQuorum { signers: 1, home: 3 };
    let error = Error::BadAnnounce { from, why };
    assert_eq!(peer.refuses(Input::Message { from, message }), error);
    assert_eq!(error.fault(), Fault::Peer(from.peer));
    let outcome = Outcome::failed("other", "result");
    let decree = Arc::new(Decree { outcome, tally: decree.tally });
    let message = Message::Announce { decree, certificate };
    let why = crate::BadCertificate::OtherResult;
    assert_eq!(peer.refuses(Input::Message { from, message }), Error::BadAnnounce { from, why });
}

#[test]
fn register_messages() {
    let mut peer = Peer::new(life(2, 1));
    peer.hears(life(1, 1), Message::HomePut { spec: spec(&group()), later: vec![] });
    let ballot = formic_register::Ballot { round: 2, rank: 0 };
    let message = formic_register::Message::Prepare { ballot };
    let from = life(3, 1);
    let why = formic_register::Error::ForeignBallot { from, ballot };
    let input = Input::Message { from, message: Message::Register { generation: 0, message } };
    assert_eq!(peer.refuses(input), Error::Register { from, why });
}

/// Late or absurd but not provably wrong: ignored, and nothing changes.
#[test]
fn what_is_not_known_here_is_ignored() {
    let mut peer = Peer::alone(life(1, 1));
    peer.up(life(2, 2));
    let key = child(root(), 0, "a");
    let before = peer.clone();
    let messages = [
        accepted(key),
        cancelled(key, root()),
        Message::Signal(Signal { taken: vec![key], unknown: vec![key], ..Signal::default() }),
        Message::HomeAck { generation: 0 },
        Message::HomeBackAck,
        Message::AnnounceAck,
        Message::Signal(Signal::default()),
    ];
    for message in messages {
        assert_eq!(peer.hears(life(2, 2), message.clone()), [], "{message:?}");
        assert_eq!(peer.hears(life(2, 1), message), [], "of a life that is over");
    }
    assert_eq!(peer, before);
    assert_eq!(peer.placed(key, 1, life(2, 2)), []);
    assert_eq!(peer.ends(key), []);
    assert_eq!(peer, before);
}

#[test]
fn a_life_that_is_over_gives_no_work() {
    let mut peer = Peer::new(life(2, 1));
    peer.up(life(1, 2));
    let key = child(root(), 0, "a");
    assert_eq!(peer.hears(life(1, 1), work(key, "a", life(1, 1), root())), []);
}

#[test]
fn configurations() {
    let good = Config::default();
    assert_eq!(good.check(), Ok(()));
    let cases = [
        ("flush", Config { flush: ms(1_001), ..good }),
        ("resend", Config { resend: ms(9), ..good }),
        ("sync", Config { sync: ms(249), ..good }),
        ("lease", Config { lease: ms(99), ..good }),
        ("takeover", Config { takeover: ms(60_001), ..good }),
    ];
    for (name, config) in cases {
        let error = config.check().unwrap_err();
        assert!(matches!(error, Error::Config { field, .. } if field == name), "{error}");
    }
}
