use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use formic::{AgentError, OutputFile};
use formic_core::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::host::Work;

/// The folder of one execution: `work/`, `outputs/` and `payload.json`. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Folder {
    top: TempDir,
}

impl Folder {
    pub(super) async fn create(root: &Path, work: &Work) -> Result<Self, AgentError> {
        // A fresh name: two lives may execute the same attempt after a false suspicion.
        let prefix = format!("{}-{}-", work.key, work.attempt);
        let (root, payload) = (root.to_owned(), work.payload.to_string());
        let create = move || -> io::Result<Self> {
            let top = tempfile::Builder::new().prefix(&prefix).tempdir_in(&root)?;
            let folder = Self { top };
            fs::create_dir(folder.work())?;
            fs::create_dir(folder.outputs())?;
            fs::write(folder.payload(), payload)?;
            Ok(folder)
        };
        let made = spawn_blocking(create).await.map_err(|error| AgentError::failed("io", error))?;
        made.map_err(|error| {
            AgentError::failed("io", format!("cannot make a work folder: {error}"))
        })
    }

    pub(super) fn work(&self) -> PathBuf {
        self.top.path().join("work")
    }

    pub(super) fn outputs(&self) -> PathBuf {
        self.top.path().join("outputs")
    }

    pub(super) fn payload(&self) -> PathBuf {
        self.top.path().join("payload.json")
    }

    /// Removes everything; files are deleted on a blocking thread.
    pub(super) async fn remove(self) {
        drop(spawn_blocking(move || drop(self)).await);
    }

    /// The declared output files, which stay; all else is removed.
    pub(super) async fn harvest(self, work: &Work) -> Result<Vec<OutputFile>, AgentError> {
        let declared: Vec<(String, String)> = match &work.recipe {
            Some(recipe) => recipe.outputs.clone().into_iter().collect(),
            None => Vec::new(),
        };
        let harvest = move || {
            let outputs = self.outputs();
            let files: Result<Vec<_>, _> =
                declared.iter().map(|(name, path)| read(&outputs, name, path)).collect();
            let files = files?;
            if !files.is_empty() {
                let (work, payload) = (self.work(), self.payload());
                drop(self.top.keep());
                // What cannot be removed only takes space.
                drop(fs::remove_dir_all(work));
                drop(fs::remove_file(payload));
            }
            Ok(files)
        };
        spawn_blocking(harvest).await.map_err(|error| AgentError::failed("io", error))?
    }
}

/// Hashes one declared file after checking that it lies in the output folder.
fn read(outputs: &Path, name: &str, relative: &str) -> Result<OutputFile, AgentError> {
    let inside = Path::new(relative).components().all(|part| matches!(part, Component::Normal(_)));
    if relative.is_empty() || !inside {
        let rule = "expected a relative path without `..`";
        return Err(AgentError::failed(
            "bad-output",
            format!("output {name}: {relative:?}: {rule}"),
        ));
    }
    let missing = |error: io::Error| {
        let text = format!(
            "output {name}: the task left no file {relative:?} in $FORMIC_OUTPUTS: {error}"
        );
        AgentError::failed("missing-output", text)
    };
    let path = outputs.join(relative).canonicalize().map_err(missing)?;
    let within = outputs.canonicalize().map_err(missing)?;
    if !path.starts_with(&within) {
        let text = format!("output {name}: {relative:?} leads out of $FORMIC_OUTPUTS");
        return Err(AgentError::failed("bad-output", text));
    }
    let mut file = File::open(&path).map_err(missing)?;
    if !file.metadata().map_err(missing)?.is_file() {
        let text = format!("output {name}: {relative:?} is no regular file");
        return Err(AgentError::failed("bad-output", text));
    }
    let (size, digest) = hash(&mut file).map_err(missing)?;
    let Some(path) = path.to_str().map(str::to_owned) else {
        let text = format!("output {name}: {} is no UTF-8 path", path.display());
        return Err(AgentError::failed("bad-output", text));
    };
    Ok(OutputFile { name: name.to_owned(), path, size, digest })
}

fn hash(file: &mut File) -> io::Result<(u64, Digest)> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok((size, Digest::from_bytes(hasher.finalize().into()))),
            Ok(read) => {
                hasher.update(chunk.get(..read).unwrap_or_default());
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
