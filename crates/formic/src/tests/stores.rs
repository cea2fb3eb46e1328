//! What survives a process.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use formic_completion::{
    Certificate, Decree, Fact, JobSpec, Record as JobRecord, Statement, Tally,
};
use formic_core::{Descriptor, Digest, Incarnation, JobId, Key, Outcome, Output};
use formic_node::Record;

use crate::{Store, StoreError};

fn job(byte: u8) -> JobId {
    JobId::from_bytes([byte; 16])
}

fn home(store: &Store, byte: u8) -> Record {
    let root = Arc::new(Descriptor {
        kind: "formic/plan".into(),
        name: "plan".into(),
        requires: vec![],
        payload: b"{}".to_vec(),
        recipe: vec![],
        wall: None,
        exclusive: None,
    });
    let home = vec![store.identity().life()];
    let spec = JobSpec { job: job(byte), root, plan: Digest::of(&[b"p"]), home };
    Record::Job { job: job(byte), record: JobRecord::Home { spec: Arc::new(spec), later: vec![] } }
}

fn fact(store: &Store, byte: u8, number: u8) -> Record {
    let fact = Fact {
        key: Key::from_bytes([number; 16]),
        by: store.identity().life(),
        outcome: Outcome::Ok(Output::default()),
        tails: vec![],
        tally: Tally::default(),
        slot: core::time::Duration::ZERO,
    };
    Record::Job { job: job(byte), record: JobRecord::Fact(Arc::new(fact)) }
}

fn closed(byte: u8) -> Record {
    let outcome = Outcome::Ok(Output::default());
    let statement = Statement {
        job: job(byte),
        plan: Digest::of(&[b"p"]),
        result: outcome.digest(),
        tally: Tally::default(),
        home: vec![],
        sealed: vec![],
        excluded: vec![],
    };
    let decree = Arc::new(Decree { outcome, tally: Tally::default() });
    let certificate = Arc::new(Certificate { statement, attestations: vec![] });
    Record::Job { job: job(byte), record: JobRecord::Closed { decree, certificate } }
}

#[test]
fn a_life_that_begins_in_place_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let clone = store.clone();
    store.append(&[home(&store, 1), fact(&store, 1, 2)]).unwrap();
    assert_eq!(store.begin_next_life().unwrap(), Incarnation(2));
    assert_eq!(clone.identity().life(), store.identity().life());
    assert_eq!(store.incarnation(), Incarnation(2));
    assert_eq!(store.records().unwrap().len(), 2, "the next life begins with what was kept");
    drop((store, clone));
    assert_eq!(Store::open(dir.path()).unwrap().incarnation(), Incarnation(3));
}

#[test]
fn a_store_keeps_its_key_and_raises_its_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    assert_eq!(first.incarnation(), Incarnation(1));
    let peer = first.identity().life().peer;
    drop(first);
    for expected in 2..5 {
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.identity().life().peer, peer);
        assert_eq!(store.incarnation(), Incarnation(expected));
    }
}

#[test]
fn only_the_owner_may_read_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    drop(Store::open(&state).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("peer.redb")), 0o600);
}

#[test]
fn records_come_back_in_order_and_a_closed_job_keeps_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let records = [home(&store, 9), home(&store, 1), fact(&store, 9, 1), fact(&store, 1, 2)];
    store.append(&records[..3]).unwrap();
    store.append(&records[3..]).unwrap();
    assert_eq!(store.records().unwrap(), records);
    let last = fact(&store, 9, 7);
    store.append(&[last, closed(9)]).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let kept = [records[1].clone(), records[3].clone(), closed(9)];
    assert_eq!(store.records().unwrap(), kept);
}

#[test]
fn a_second_user_of_a_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    let refused = Store::open(dir.path());
    assert!(
        matches!(refused, Err(StoreError::Busy { dir: ref named }) if *named == dir.path().canonicalize().unwrap())
    );
    drop(first);
    Store::open(dir.path()).unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let garbage: [&[u8]; 3] = [b"x", b"not a database at all", &[7; 70_000]];
    for bytes in garbage {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("peer.redb");
        fs::write(&file, bytes).unwrap();
        let refused = Store::open(dir.path());
        assert!(
            matches!(refused, Err(StoreError::Corrupt { file: ref named, .. }) if named.ends_with("peer.redb")),
            "{refused:?}"
        );
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
}

#[test]
fn a_cut_off_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let file = dir.path().join("peer.redb");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let refused = Store::open(dir.path());
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. } | StoreError::Io { .. })),
        "{refused:?}"
    );
}

#[test]
fn another_programs_database_is_refused() {
    const TABLE: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("theirs");
    let dir = tempfile::tempdir().unwrap();
    let database = redb::Database::create(dir.path().join("peer.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TABLE).unwrap().insert("k", 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = Store::open(dir.path());
    assert!(matches!(refused, Err(StoreError::Foreign { .. })), "{refused:?}");
}
