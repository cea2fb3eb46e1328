use std::{
    fs,
    path::{Path, PathBuf},
};

use formic::{EventLog, LogEvent, LogLine};

use super::state::Kept;
use crate::{
    args::RunArgs,
    events::{self, Follower},
    exit::Stop,
    folder,
    report::Report,
};

/// Where a run writes down what happens, and reads it back.
#[derive(Debug)]
pub(crate) struct Journal {
    /// The folder of this run, which `formic why` finds.
    folder: PathBuf,
    pub(crate) events: PathBuf,
    pub(crate) epoch_us: u64,
    pub(crate) log: EventLog,
    follower: Follower,
}

impl Journal {
    /// The log of a resumed job goes on with the clock of the run that began it.
    pub(crate) fn open(args: &RunArgs, resumed: Option<&Kept>) -> Result<Self, Stop> {
        let now_us = EventLog::epoch();
        let folder = folder::new_run()
            .map_err(|error| Stop::usage(format!("no folder for the run's log: {error}")))?;
        let events = match (&args.events, &args.state) {
            (Some(path), _) => path.clone(),
            (None, Some(dir)) => dir.join(folder::EVENTS),
            (None, None) => folder.join(folder::EVENTS),
        };
        let events =
            std::path::absolute(&events).map_err(|error| Stop::file("use", &events, &error))?;
        // After a reboot the host's clock begins anew: then the log of before cannot be continued.
        let continued = resumed.filter(|kept| kept.epoch_us <= now_us);
        let epoch_us = continued.map_or(now_us, |kept| kept.epoch_us);
        let log = EventLog::file(&events, epoch_us)
            .map_err(|error| Stop::usage(format!("--events {error}")))?;
        let length = fs::metadata(&events).map_or(0, |file| file.len());
        let from = if continued.is_some() { 0 } else { length };
        let follower =
            Follower::open(&events, from).map_err(|error| Stop::file("read", &events, &error))?;
        link(&events, &folder.join(folder::EVENTS));
        Ok(Self { folder, events, epoch_us, log, follower })
    }

    /// Where tasks work. Output files stay there until the run's folder is forgotten.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where the certificate goes by default.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join(folder::CERTIFICATE)
    }

    pub(crate) fn name_job(&self, job: &str) {
        folder::name_job(&self.folder, job);
    }

    /// Writes what the command itself did.
    pub(crate) fn write(&self, event: LogEvent) {
        self.log.write("-", event);
    }

    /// What was written since the last call, by all peers.
    pub(crate) fn news(&mut self) -> &[LogLine] {
        // A log that cannot be read now may be readable at the end, where it matters.
        let from = self.follower.poll().unwrap_or(self.follower.log.lines.len());
        &self.follower.log.lines[from..]
    }

    /// Fills in all that the log says.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) fn measure(&mut self, report: &mut Report, job: Option<&str>) -> Result<(), Stop> {
        self.follower.poll().map_err(|error| Stop::file("read", &self.events, &error))?;
        let lines = events::last_run(core::mem::take(&mut self.follower.log.lines));
        report.measure(&lines, job);
        report.events = Some(self.events.display().to_string());
        Ok(())
    }
}

/// So that `formic why` finds a log that lies elsewhere.
fn link(target: &Path, name: &Path) {
    if target != name {
        drop(std::os::unix::fs::symlink(target, name));
    }
}
