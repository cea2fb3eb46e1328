//! `formic why`: what happened and why, told from the event log.

mod job;
mod story;
mod task;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::{
    args::WhyArgs,
    events,
    exit::{Exit, Stop},
    folder, output,
};

use story::Story;

pub(crate) fn run(args: &WhyArgs) -> Result<Exit, Stop> {
    let what = args.what.as_deref();
    let path = match &args.events {
        Some(path) => path.clone(),
        None => log_of(what)?,
    };
    let mut log = events::read_file(&path).map_err(|error| Stop::file("read", &path, &error))?;
    if log.lines.is_empty() {
        return Err(Stop::usage(format!("{} has no events", path.display())));
    }
    if log.unreadable > 0 {
        let count = log.unreadable;
        output::note(&format!("{count} lines of {} are no events: left out", path.display()));
    }
    log.lines = events::last_run(log.lines);
    let text = tell(&Story::of(&log.lines), what, &path)?;
    output::data(&text);
    Ok(Exit::Ok)
}

fn tell(story: &Story<'_>, what: Option<&str>, path: &Path) -> Result<String, Stop> {
    let Some(what) = what else { return Ok(job::tell(story)) };
    if story.job.is_some_and(|job| job.starts_with(what)) {
        return Ok(job::tell(story));
    }
    let keys = story.find(what);
    match keys[..] {
        [] => Err(Stop::usage(format!("{} knows no job and no task `{what}`", path.display()))),
        [key] => Ok(task::tell(story, key)),
        _ => {
            let shown: Vec<String> =
                keys.iter().take(20).map(|key| format!("  {key}  {}", story.name(key))).collect();
            let count = keys.len();
            Err(Stop::usage(format!(
                "`{what}` are {count} tasks; take one by its id:\n{}",
                shown.join("\n")
            )))
        }
    }
}

/// The log of the run of that job, else the latest one.
fn log_of(what: Option<&str>) -> Result<PathBuf, Stop> {
    let runs = folder::runs();
    let of_job = what.and_then(|what| {
        let about = |run: &&PathBuf| folder::job_of(run).is_some_and(|job| job.starts_with(what));
        runs.iter().find(about)
    });
    match of_job.or(runs.first()) {
        Some(folder) => Ok(folder.join(folder::EVENTS)),
        None => Err(Stop::usage(
            "there is no run to tell about: run a plan first, or give --events FILE",
        )),
    }
}
