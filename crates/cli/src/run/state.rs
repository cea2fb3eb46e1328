use std::{
    fs,
    path::{Path, PathBuf},
};

use formic::{ClientJob, JobId, Life, PeerId};
use formic_core::Incarnation;
use serde::{Deserialize, Serialize};

use crate::{args::RunArgs, exit::Stop, plan::CheckedPlan};

const FILE: &str = "run.json";

/// What a run with `--state DIR` leaves for the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) version: u32,
    pub(crate) job: String,
    /// Digest of the checked plan with its inputs.
    pub(crate) plan: String,
    pub(crate) peers: usize,
    /// Home peers by rank.
    pub(crate) home: Vec<String>,
    /// What the event log's times count from.
    pub(crate) epoch_us: u64,
    pub(crate) finished: bool,
}

impl Kept {
    /// # Errors
    /// Exit 2: the file was changed.
    pub(crate) fn job_id(&self) -> Result<JobId, Stop> {
        self.job
            .parse()
            .map_err(|error| Stop::usage(format!("{FILE}: job {:?}: {error}", self.job)))
    }

    /// The job with its home peers, whatever their lives are by now.
    pub(crate) fn client_job(&self, job: JobId) -> ClientJob {
        let mut known = ClientJob::known(job);
        let peers = self.home.iter().filter_map(|peer| peer.parse::<PeerId>().ok());
        known.home = peers.map(|peer| Life::new(peer, Incarnation::default())).collect();
        known
    }
}

/// The state directory of a run.
#[derive(Debug)]
pub(crate) struct Saved {
    path: PathBuf,
    kept: Option<Kept>,
}

impl Saved {
    /// Reads what is there, and refuses another plan while a job is unfinished.
    ///
    /// # Errors
    /// Exit 2: not usable, or of another plan.
    pub(crate) fn open(dir: &Path, plan: &CheckedPlan, args: &RunArgs) -> Result<Self, Stop> {
        fs::create_dir_all(dir).map_err(|error| Stop::file("make", dir, &error))?;
        let path = dir.join(FILE);
        let kept: Option<Kept> = match fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| {
                Stop::usage(format!("{} is no state of a run: {error}", path.display()))
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Stop::file("read", &path, &error)),
        };
        let saved = Self { path, kept };
        if let Some(kept) = saved.unfinished() {
            check(kept, plan, args, dir)?;
        }
        Ok(saved)
    }

    /// The job that was left open.
    pub(crate) fn unfinished(&self) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| !kept.finished)
    }

    /// # Errors
    /// Exit 2: the directory cannot be written.
    pub(crate) fn keep(&mut self, kept: Kept) -> Result<(), Stop> {
        let text = serde_json::to_vec_pretty(&kept).map_err(Stop::usage)?;
        let fresh = self.path.with_extension("json.new");
        // A crash leaves the old file or the new one, never half of one.
        let written = fs::File::create(&fresh)
            .and_then(|mut file| {
                std::io::Write::write_all(&mut file, &text)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&fresh, &self.path));
        written.map_err(|error| Stop::file("write", &self.path, &error))?;
        self.kept = Some(kept);
        Ok(())
    }

    /// # Errors
    /// As [`Saved::keep`].
    pub(crate) fn finish(&mut self) -> Result<(), Stop> {
        match self.kept.take() {
            Some(kept) => self.keep(Kept { finished: true, ..kept }),
            None => Ok(()),
        }
    }
}

fn check(kept: &Kept, plan: &CheckedPlan, args: &RunArgs, dir: &Path) -> Result<(), Stop> {
    let (job, dir) = (&kept.job, dir.display());
    if kept.version != 1 {
        let version = kept.version;
        return Err(Stop::usage(format!("--state {dir}: of version {version}, this one reads 1")));
    }
    if kept.plan != plan.digest.to_string() {
        return Err(Stop::usage(format!(
            "--state {dir} holds the unfinished job {job} of another plan, or of other inputs: \
             finish it with that plan, or take another directory"
        )));
    }
    match args.peers {
        Some(peers) if peers as usize != kept.peers => Err(Stop::usage(format!(
            "--state {dir} holds the unfinished job {job} of {} peers, not {peers}",
            kept.peers
        ))),
        _ => Ok(()),
    }
}
