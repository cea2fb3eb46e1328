//! Where formic keeps what is not asked for: logs of the latest runs, addresses of local peers.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Runs whose folders are kept.
const RUNS_KEPT: usize = 20;

/// The name of the event log in a run's folder.
pub(crate) const EVENTS: &str = "events.jsonl";
/// The name of the file with the job's id in a run's folder.
const JOB: &str = "job";
/// The name of the certificate in a run's folder.
pub(crate) const CERTIFICATE: &str = "certificate.json";

/// `$XDG_STATE_HOME/formic`, else `~/.local/state/formic`, else a folder of this user among temporary files.
pub(crate) fn home() -> PathBuf {
    let absolute =
        |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    match state {
        Some(state) => state.join("formic"),
        None => temporary(),
    }
}

fn temporary() -> PathBuf {
    env::temp_dir().join(format!("formic-{}", rustix::process::getuid().as_raw()))
}

/// A new folder for a run; beneath [`home`], or among temporary files where that is impossible. The oldest folders of
/// runs that have ended, with the files that their tasks left in them, are forgotten.
///
/// # Errors
/// Neither can be written.
pub(crate) fn new_run() -> std::io::Result<PathBuf> {
    let seconds =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = format!("{seconds}-{}", std::process::id());
    let made = |root: PathBuf| {
        let runs = root.join("runs");
        let ended = newest_first(&runs).into_iter().filter(|(_, run)| !is_alive(pid_of_run(run)));
        for (_, old) in ended.skip(RUNS_KEPT - 1) {
            drop(fs::remove_dir_all(old));
        }
        let folder = runs.join(&name);
        fs::create_dir_all(&folder).map(|()| folder)
    };
    made(home()).or_else(|_| made(temporary()))
}

/// Notes which job the run of this folder is about.
pub(crate) fn name_job(folder: &Path, job: &str) {
    // Without it `formic why JOB` needs --events.
    drop(fs::write(folder.join(JOB), job));
}

/// The job that the run of this folder is about.
pub(crate) fn job_of(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(JOB)).ok()
}

/// Folders of runs, the latest first.
pub(crate) fn runs() -> Vec<PathBuf> {
    let mut found = newest_first(&home().join("runs"));
    found.extend(newest_first(&temporary().join("runs")));
    found.sort();
    found.dedup();
    found.reverse();
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn newest_first(runs: &Path) -> Vec<(SystemTime, PathBuf)> {
    let Ok(entries) = fs::read_dir(runs) else { return Vec::new() };
    let dated = |folder: PathBuf| {
        let changed = fs::metadata(folder.join(EVENTS)).and_then(|log| log.modified()).ok()?;
        Some((changed, folder))
    };
    let mut dated: Vec<_> = entries.filter_map(|entry| dated(entry.ok()?.path())).collect();
    dated.sort();
    dated.reverse();
    dated
}

/// Where a local peer is noted while it runs.
pub(crate) fn peer_note(pid: u32) -> PathBuf {
    home().join("peers").join(pid.to_string())
}

/// Addresses of peers that run on this host, the latest first. Notes of dead processes are removed.
pub(crate) fn local_peers() -> Vec<String> {
    let Ok(entries) = fs::read_dir(home().join("peers")) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if !is_alive(last_word(&path)) {
            drop(fs::remove_file(&path));
            continue;
        }
        let changed = fs::metadata(&path).and_then(|note| note.modified());
        if let (Ok(changed), Ok(address)) = (changed, fs::read_to_string(&path)) {
            found.push((changed, address.trim().to_owned()));
        }
    }
    found.sort();
    found.reverse();
    found.into_iter().map(|(_, address)| address).collect()
}

/// A run's folder is named `SECONDS-PID`.
fn pid_of_run(folder: &Path) -> Option<&str> {
    Some(last_word(folder)?.rsplit_once('-')?.1)
}

fn last_word(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn is_alive(pid: Option<&str>) -> bool {
    pid.and_then(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?))
        .is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_s_folder_tells_whether_its_process_lives() {
        let mine = format!("/x/runs/17-{}", std::process::id());
        assert!(is_alive(pid_of_run(Path::new(&mine))));
        for gone in ["/x/runs/17-999999999", "/x/runs/17-", "/x/runs/17", "/x/runs/17-x", "/"] {
            assert!(!is_alive(pid_of_run(Path::new(gone))), "{gone}");
        }
    }
}
