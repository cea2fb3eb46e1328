use core::panic::AssertUnwindSafe;
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use formic_core::{Blame, Fault, Incarnation, wire};
use formic_node::Record;
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    backends::FileBackend,
};

use crate::{Error, Identity, identity::random_seed};

/// The one file in a state directory.
const FILE: &str = "peer.redb";
/// The version of the tables below.
const FORMAT: &[u8] = b"formic/peer/1";

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("formic/meta");
/// Key: the shelf's 16 bytes (for a job its id), then the record's number in big-endian order.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("formic/records");

/// What survives a peer's process: its key, its incarnation, and what its node asked to persist.
///
/// Cheap to clone; all clones are one open file, closed with the last one.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    file: PathBuf,
    /// In the life that is going on.
    identity: Mutex<Identity>,
}

/// Why a state directory could not be used. Nothing in it was overwritten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another peer of this one, uses the directory. The caller's fault.
    #[error("{} is used by another peer", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// The file is damaged or no database at all. The environment's fault.
    #[error("{} is damaged or no state of a peer: {what}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A database of another program, or of another version of this one. The caller's fault.
    #[error("{} holds {found}, this version reads {expected}", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What was found.
        found: String,
        /// What is expected.
        expected: &'static str,
    },
    /// The directory or file cannot be read or written. The environment's fault.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database refused a read or a commit. The environment's fault.
    #[error("{}: {source}", file.display())]
    Database {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// A record is larger than a message may be. The caller's fault; nothing was written.
    #[error("a record cannot be stored: {source}")]
    Record {
        /// Why.
        source: wire::WireError,
    },
    /// The database stopped in the middle of a commit: what is durable is unknown. The environment's fault.
    #[error("the database stopped in the middle of a commit")]
    Interrupted,
    /// The system gives no randomness for a key. The environment's fault.
    #[error("the system gives no randomness: {0}")]
    Entropy(getrandom::Error),
}

impl Blame for StoreError {
    fn fault(&self) -> Fault {
        match self {
            Self::Busy { .. } | Self::Foreign { .. } | Self::Record { .. } => Fault::Caller,
            Self::Corrupt { .. }
            | Self::Io { .. }
            | Self::Database { .. }
            | Self::Interrupted
            | Self::Entropy(_) => Fault::Environment,
        }
    }
}

impl Store {
    /// Opens the state in `dir`, or makes it. The incarnation is raised, durably, before this returns: whatever an
    /// earlier process of this peer did, this one is a later life.
    ///
    /// Blocks on the disk: call it before the peer starts, or on a blocking thread.
    ///
    /// # Errors
    /// Any [`StoreError`]; an existing file was not overwritten.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let at = |source| StoreError::Io { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at)?;
        let dir = dir.canonicalize().map_err(at)?;
        let file = dir.join(FILE);
        // A damaged file can make the database's own assertions fail: that is the file's fault, not a bug here.
        let opened = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let database = open_database(&dir, &file)?;
            let identity = begin_life(&database, &file)?;
            drop(all_records(&database, &file)?);
            Ok((database, identity))
        }));
        let what = "the database's own checks failed".to_owned();
        let (database, identity) =
            opened.unwrap_or_else(|_| Err(StoreError::Corrupt { file: file.clone(), what }))?;
        // Without this a power cut could lose the directory entry of a file whose contents are safe.
        File::open(&dir).and_then(|dir| dir.sync_all()).map_err(at_path(&dir))?;
        let identity = Mutex::new(identity);
        Ok(Self { inner: Arc::new(Inner { database, file, identity }) })
    }

    /// The peer of this directory, in the life that began last: when the store was opened, or in place.
    pub fn identity(&self) -> Identity {
        self.inner.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The incarnation of the life that began last.
    pub fn incarnation(&self) -> Incarnation {
        self.identity().incarnation()
    }

    /// Begins the peer's next life while its process goes on: the incarnation is raised by one, durably.
    ///
    /// Blocks until the disk has it.
    ///
    /// # Errors
    /// [`StoreError::Database`]; the old life goes on.
    pub fn begin_next_life(&self) -> Result<Incarnation, StoreError> {
        let mut identity = self.inner.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let next = identity.incarnation().next();
        raise_life(&self.inner.database, next).map_err(database_at(&self.inner.file))?;
        *identity = identity.in_life(next);
        Ok(next)
    }

    /// All records, in the order in which they were appended.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        all_records(&self.inner.database, &self.inner.file)
    }

    /// Appends records in one durable transaction: after a crash there are all or none of them. A record that closes
    /// its shelf replaces the shelf's earlier ones.
    ///
    /// Blocks until the disk has them.
    ///
    /// # Errors
    /// [`StoreError::Record`], [`StoreError::Database`]; nothing was appended.
    pub fn append(&self, records: &[Record]) -> Result<(), StoreError> {
        let mut encoded = Vec::with_capacity(records.len());
        for record in records {
            let bytes = wire::encode(record).map_err(|source| StoreError::Record { source })?;
            encoded.push((record, bytes));
        }
        self.commit(&encoded).map_err(database_at(&self.inner.file))
    }

    fn commit(&self, records: &[(&Record, Vec<u8>)]) -> Result<(), redb::Error> {
        let transaction = self.inner.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            let mut table = transaction.open_table(RECORDS)?;
            let mut number = meta.get("next")?.map_or(0, |bytes| number_of(bytes.value()));
            let first = number;
            for (record, bytes) in records {
                table.insert(record_key(record.shelf(), number).as_slice(), bytes.as_slice())?;
                number += 1;
            }
            for ((record, _), number) in
                records.iter().zip(first..).filter(|((r, _), _)| r.closes())
            {
                let earlier = record_key(record.shelf(), 0)..record_key(record.shelf(), number);
                table.retain_in(earlier.start.as_slice()..earlier.end.as_slice(), |_, _| false)?;
            }
            meta.insert("next", number.to_be_bytes().as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn open_database(dir: &Path, file: &Path) -> Result<Database, StoreError> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
        .map_err(at_path(file))?;
    let opened = FileBackend::new(opened)
        .and_then(|backend| redb::Builder::new().create_with_backend(backend));
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Busy { dir: dir.to_owned() },
        DatabaseError::UpgradeRequired(version) => StoreError::Foreign {
            file: file.to_owned(),
            found: format!("a database of format {version}"),
            expected: "formic/peer/1",
        },
        DatabaseError::Storage(redb::StorageError::Io(source))
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Io { path: file.to_owned(), source }
        }
        other => StoreError::Corrupt { file: file.to_owned(), what: other.to_string() },
    })
}

/// Checks whose database it is, makes the key of a new peer, raises the incarnation.
fn begin_life(database: &Database, file: &Path) -> Result<Identity, StoreError> {
    let (seed, incarnation) = match read_life(database).map_err(database_at(file))? {
        Found::Nothing => {
            let seed = random_seed().map_err(|error| match error {
                Error::Entropy(error) => StoreError::Entropy(error),
                other => StoreError::Corrupt { file: file.to_owned(), what: other.to_string() },
            })?;
            (*seed, Incarnation(1))
        }
        Found::Foreign { what } => {
            let expected = "formic/peer/1";
            return Err(StoreError::Foreign { file: file.to_owned(), found: what, expected });
        }
        Found::Damaged => {
            let what = "key or incarnation are missing".to_owned();
            return Err(StoreError::Corrupt { file: file.to_owned(), what });
        }
        Found::Life { seed, incarnation } => (seed, incarnation.next()),
    };
    write_life(database, &seed, incarnation).map_err(database_at(file))?;
    Ok(Identity::of(&seed, incarnation))
}

enum Found {
    Nothing,
    Foreign { what: String },
    Damaged,
    Life { seed: [u8; 32], incarnation: Incarnation },
}

fn read_life(database: &Database) -> Result<Found, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => {
            return Ok(match transaction.list_tables()?.count() {
                0 => Found::Nothing,
                tables => Found::Foreign { what: format!("{tables} tables of another program") },
            });
        }
        Err(other) => return Err(other.into()),
    };
    let format = table.get("format")?.map(|bytes| bytes.value().to_vec()).unwrap_or_default();
    if format != FORMAT {
        return Ok(Found::Foreign {
            what: format!("format {:?}", String::from_utf8_lossy(&format)),
        });
    }
    let seed = table.get("seed")?.and_then(|bytes| <[u8; 32]>::try_from(bytes.value()).ok());
    let incarnation = table.get("incarnation")?.map(|bytes| number_of(bytes.value()));
    Ok(match (seed, incarnation) {
        (Some(seed), Some(number)) if number > 0 => {
            Found::Life { seed, incarnation: Incarnation(number) }
        }
        _ => Found::Damaged,
    })
}

fn write_life(
    database: &Database,
    seed: &[u8; 32],
    incarnation: Incarnation,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        meta.insert("seed", seed.as_slice())?;
        meta.insert("incarnation", incarnation.0.to_be_bytes().as_slice())?;
        transaction.open_table(RECORDS)?;
    }
    transaction.commit()?;
    Ok(())
}

fn raise_life(database: &Database, incarnation: Incarnation) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let number = incarnation.0.to_be_bytes();
    transaction.open_table(META)?.insert("incarnation", number.as_slice())?;
    transaction.commit()?;
    Ok(())
}

fn all_records(database: &Database, file: &Path) -> Result<Vec<Record>, StoreError> {
    let mut stored = read_records(database).map_err(database_at(file))?;
    stored.sort_unstable_by_key(|(number, _)| *number);
    let damaged = |error| StoreError::Corrupt {
        file: file.to_owned(),
        what: format!("a record is unreadable: {error}"),
    };
    stored.iter().map(|(_, bytes)| wire::decode(bytes).map_err(damaged)).collect()
}

fn read_records(database: &Database) -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(RECORDS)?;
    let mut stored = Vec::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let number = key.value().get(16..).map_or(0, number_of);
        stored.push((number, value.value().to_vec()));
    }
    Ok(stored)
}

fn record_key(shelf: [u8; 16], number: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&shelf);
    key[16..].copy_from_slice(&number.to_be_bytes());
    key
}

/// 0 for anything that is no number: the caller treats that as damage or as the first.
fn number_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn at_path(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    |source| StoreError::Io { path, source }
}

fn database_at(file: &Path) -> impl FnOnce(redb::Error) -> StoreError {
    let file = file.to_owned();
    |source| StoreError::Database { file, source: Box::new(source) }
}
