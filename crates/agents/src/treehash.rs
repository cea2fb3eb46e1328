//! The example worker: the hash of a directory tree, in one process or as a task per directory.
//!
//! SHA-256 throughout. File: hash of its bytes. Symlink: hash of its target string, not followed. Directory: hash of the
//! concatenation, over its entries sorted by name bytes, of the type byte (`f`, `d`, `l`), the name bytes, one zero
//! byte, and the entry's 32 hash bytes. Other types are skipped and counted.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use formic_core::Digest;
use sha2::{Digest as _, Sha256};

mod task;

pub use task::serve;

/// Entries that are neither file, directory nor symlink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped(pub u64);

/// Why a tree has no hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreehashError {
    /// An entry could not be read. The environment's fault.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which entry.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Hashes a directory tree in one process: what the tasks of [`serve`] compute together. Lower-case hex.
///
/// Blocks; memory grows with depth times entries per directory, not with the size of files.
///
/// # Errors
/// An entry cannot be read.
pub fn local(dir: &Path) -> Result<(String, Skipped), TreehashError> {
    let mut skipped = Skipped(0);
    // Directories on the way down, not on the thread's stack: trees may be deep.
    let mut open = vec![Frame::list(dir.to_owned(), &mut skipped)?];
    let mut finished: Option<Digest> = None;
    while let Some(frame) = open.last_mut() {
        if let Some(digest) = finished.take() {
            frame.take(digest);
        }
        let Some(entry) = frame.entries.get(frame.done) else {
            finished = Some(Digest::from_bytes(frame.hasher.finalize_reset().into()));
            open.pop();
            continue;
        };
        let path = frame.path.join(entry.name_as_path());
        match entry.kind {
            Kind::Directory => open.push(Frame::list(path, &mut skipped)?),
            Kind::File => frame.take(hash_file(&path)?),
            Kind::Link => frame.take(hash_link(&path)?),
        }
    }
    // The loop ends only by the last frame, which leaves its digest.
    let digest = finished.map(|digest| digest.to_string()).unwrap_or_default();
    Ok((digest, skipped))
}

/// A directory whose entries are being hashed in order.
struct Frame {
    path: PathBuf,
    entries: Vec<Entry>,
    done: usize,
    hasher: Sha256,
}

impl Frame {
    fn list(path: PathBuf, skipped: &mut Skipped) -> Result<Self, TreehashError> {
        let (entries, more) = list(&path)?;
        skipped.0 += more.0;
        Ok(Self { path, entries, done: 0, hasher: Sha256::new() })
    }

    /// The digest of the entry whose turn it is.
    fn take(&mut self, digest: Digest) {
        if let Some(entry) = self.entries.get(self.done) {
            entry.add_to(&mut self.hasher, &digest);
        }
        self.done += 1;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Link,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: Vec<u8>,
    kind: Kind,
}

impl Entry {
    fn name_as_path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.name))
    }

    fn add_to(&self, hasher: &mut Sha256, digest: &Digest) {
        hasher.update(match self.kind {
            Kind::File => b"f",
            Kind::Directory => b"d",
            Kind::Link => b"l",
        });
        hasher.update(&self.name);
        hasher.update([0]);
        hasher.update(digest.as_bytes());
    }
}

/// Entries sorted by name bytes.
fn list(path: &Path) -> Result<(Vec<Entry>, Skipped), TreehashError> {
    let unreadable = |source| TreehashError::Unreadable { path: path.to_owned(), source };
    let (mut entries, mut skipped) = (Vec::new(), Skipped(0));
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry
            .file_type()
            .map_err(|source| TreehashError::Unreadable { path: entry.path(), source })?;
        let kind = match (kind.is_file(), kind.is_dir(), kind.is_symlink()) {
            (true, _, _) => Kind::File,
            (_, true, _) => Kind::Directory,
            (_, _, true) => Kind::Link,
            _ => {
                skipped.0 += 1;
                continue;
            }
        };
        entries.push(Entry { name: entry.file_name().into_vec(), kind });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((entries, skipped))
}

fn hash_link(path: &Path) -> Result<Digest, TreehashError> {
    let target = fs::read_link(path)
        .map_err(|source| TreehashError::Unreadable { path: path.to_owned(), source })?;
    Ok(Digest::of(&[target.as_os_str().as_bytes()]))
}

fn hash_file(path: &Path) -> Result<Digest, TreehashError> {
    let unreadable = |source| TreehashError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Digest::from_bytes(hasher.finalize().into())),
            Ok(size) => hasher.update(chunk.get(..size).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}

#[cfg(test)]
mod tests;
