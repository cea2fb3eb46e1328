use std::{
    collections::BTreeMap,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use formic_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::{JoinSet, spawn_blocking},
};

use super::{Entry, Kind, TreehashError, hash_file, hash_link, list};
use crate::worker::{self, Assignment, Child, Declaration, Handle, TaskFailure};

/// Children per join: keeps the answers' lines short.
const JOIN_MAX: usize = 1_024;
/// Bytes of a path in a task's name; the payload has it in full.
const NAME_MAX: usize = 512;

/// Serves tasks `{"path": DIR}` until the host closes: each hashes the files of one directory and spawns a task for every
/// subdirectory. `slots` directories at once, those that wait for their children not counted.
///
/// # Errors
/// The host is gone or speaks something else.
pub async fn serve<R, W>(input: R, output: W, slots: u32) -> Result<(), worker::Error>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let capabilities = vec!["fs".to_owned(), "hash".to_owned()];
    let declaration = Declaration::new("treehash", capabilities).slots(slots.max(1));
    let threads = Arc::new(Semaphore::new(usize::try_from(slots.max(1)).unwrap_or(1)));
    let body = move |task, handle| hash(task, handle, Arc::clone(&threads));
    worker::serve(declaration, (input, output), body).await
}

/// What is to be hashed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Payload {
    path: PathText,
}

/// A path in JSON: text where it is UTF-8, else its bytes in hex.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    Bytes { bytes_hex: String },
}

impl PathText {
    fn new(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => {
                let bytes = path.as_os_str().as_bytes();
                let bytes_hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                Self::Bytes { bytes_hex }
            }
        }
    }

    fn path(self) -> Option<PathBuf> {
        let hex = match self {
            Self::Text(text) => return Some(PathBuf::from(text)),
            Self::Bytes { bytes_hex } => bytes_hex,
        };
        let digits: Option<Vec<u8>> =
            hex.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
        let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        rest.is_empty().then(|| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    }
}

impl From<TreehashError> for TaskFailure {
    fn from(error: TreehashError) -> Self {
        Self::new("unreadable", error)
    }
}

async fn hash(
    task: Assignment,
    handle: Handle,
    threads: Arc<Semaphore>,
) -> Result<Value, TaskFailure> {
    let payload: Option<Payload> = serde_json::from_value(task.payload).ok();
    let path = payload.and_then(|payload| payload.path.path()).ok_or_else(|| {
        let shape = r#"{"path": TEXT} or {"path": {"bytes_hex": HEX}}"#;
        TaskFailure::new("bad-payload", format!("expected the payload {shape}"))
    })?;
    let listed = path.clone();
    let (entries, skipped) = on_thread(&threads, move || list(&listed)).await??;
    if skipped.0 > 0 {
        handle.log("info", format!("{}: {} special files skipped", path.display(), skipped.0));
    }
    // Children first: others can begin with them while this one hashes its files.
    let children = spawn_all(&path, &entries, &handle).await?;
    let entries = Arc::new(entries);
    let (own, base) = (Arc::clone(&entries), path.clone());
    let mut digests = on_thread(&threads, move || hash_own(&base, &own)).await??;
    join_all(&handle, children, &entries, &mut digests).await?;
    let mut hasher = Sha256::new();
    for (position, entry) in entries.iter().enumerate() {
        let missing = || TaskFailure::new("bad-answer", "the host left out a child's outcome");
        entry.add_to(&mut hasher, digests.get(&position).ok_or_else(missing)?);
    }
    Ok(json!(Digest::from_bytes(hasher.finalize().into()).to_string()))
}

/// Runs on a blocking thread, at most as many at once as there are slots.
async fn on_thread<T: Send + 'static>(
    threads: &Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TaskFailure> {
    let _thread = threads.acquire().await.map_err(|error| TaskFailure::new("closed", error))?;
    spawn_blocking(work).await.map_err(|error| TaskFailure::new("crashed", error))
}

/// Keys of the children by position.
async fn spawn_all(
    path: &Path,
    entries: &[Entry],
    handle: &Handle,
) -> Result<Vec<(String, usize)>, TaskFailure> {
    let mut asked = JoinSet::new();
    for (position, entry) in entries.iter().enumerate() {
        if entry.kind != Kind::Directory {
            continue;
        }
        let path = path.join(entry.name_as_path());
        let child = Child {
            kind: "hash".to_owned(),
            name: name_of(&path),
            requires: vec!["hash".to_owned()],
            payload: json!(Payload { path: PathText::new(&path) }),
            index: position as u64,
        };
        let handle = handle.clone();
        asked.spawn(async move { Ok((handle.spawn(child).await?, position)) });
    }
    let mut children = Vec::new();
    while let Some(answer) = asked.join_next().await {
        let answer: Result<_, TaskFailure> =
            answer.map_err(|error| TaskFailure::new("crashed", error))?;
        children.push(answer?);
    }
    Ok(children)
}

/// The end of a path tells more than its beginning.
fn name_of(path: &Path) -> String {
    let text = path.display().to_string();
    let from = text.len().saturating_sub(NAME_MAX);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(from..).unwrap_or_default().to_owned()
}

fn hash_own(path: &Path, entries: &[Entry]) -> Result<BTreeMap<usize, Digest>, TreehashError> {
    let mut digests = BTreeMap::new();
    for (position, entry) in entries.iter().enumerate() {
        let path = path.join(entry.name_as_path());
        let digest = match entry.kind {
            Kind::File => hash_file(&path)?,
            Kind::Link => hash_link(&path)?,
            Kind::Directory => continue,
        };
        digests.insert(position, digest);
    }
    Ok(digests)
}

async fn join_all(
    handle: &Handle,
    mut children: Vec<(String, usize)>,
    entries: &[Entry],
    digests: &mut BTreeMap<usize, Digest>,
) -> Result<(), TaskFailure> {
    children.sort();
    for part in children.chunks(JOIN_MAX) {
        let mut outcomes = handle.join(part.iter().map(|(key, _)| key.clone()).collect()).await?;
        for (key, position) in part {
            let Some(outcome) = outcomes.remove(key) else { continue };
            let value = outcome.value.as_str().and_then(|text| text.parse().ok());
            let digest = value.ok_or_else(|| {
                let name = entries.get(*position).map(|entry| entry.name_as_path().display());
                let name = name.map(|name| name.to_string()).unwrap_or_default();
                let why = outcome.message.unwrap_or_else(|| "its value is no hash".to_owned());
                let code = outcome.code.unwrap_or(outcome.status);
                TaskFailure::new(code, format!("{name}: {why}"))
            })?;
            digests.insert(*position, digest);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_json_also_without_utf8() {
        for bytes in [b"a/b".as_slice(), b"a/\xff\x00\x01b", "ä".as_bytes()] {
            let path = PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
            let json = json!(Payload { path: PathText::new(&path) });
            let read: Payload = serde_json::from_value(json).unwrap();
            assert_eq!(read.path.path(), Some(path));
        }
        for bad in ["a", "zz", "+1"] {
            assert_eq!(PathText::Bytes { bytes_hex: bad.into() }.path(), None, "{bad}");
        }
    }
}
