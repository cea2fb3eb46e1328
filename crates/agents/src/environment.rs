use std::{
    env,
    ffi::OsString,
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use formic::{AgentError, AgentSpec};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Config, Error};

/// What a program gets of the peer's own environment.
const PASSED: [&str; 8] = ["PATH", "HOME", "USER", "SHELL", "LANG", "TERM", "TMPDIR", "TZ"];

/// Where programs are found and what they see.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Folders of tasks lie here.
    pub(crate) work_root: PathBuf,
    executable: PathBuf,
    shim: Option<PathBuf>,
    /// Holds the link `formic`.
    links: TempDir,
    path: OsString,
}

impl Environment {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let executable = match &config.executable {
            Some(executable) => executable.clone(),
            None => env::current_exe().map_err(Error::io("find the running executable"))?,
        };
        let work_root = work_root(config.work_root.as_deref())?;
        let links = tempfile::Builder::new()
            .prefix("bin-")
            .tempdir_in(&work_root)
            .map_err(Error::io(format!("make a folder in {}", work_root.display())))?;
        std::os::unix::fs::symlink(&executable, links.path().join("formic"))
            .map_err(Error::io(format!("link {}", executable.display())))?;
        let mut folders = vec![links.path().to_owned()];
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path = env::join_paths(folders)
            .map_err(io::Error::other)
            .map_err(Error::io("put the work folder on PATH: its name has a colon"))?;
        Ok(Self { work_root, executable, shim: config.shim.clone(), links, path })
    }

    /// A command with the passed variables only.
    pub(crate) fn command(&self, program: &str, arguments: &[String]) -> Command {
        let program = match program {
            "formic" => self.executable.as_os_str().to_owned(),
            other => OsString::from(other),
        };
        let mut command = match &self.shim {
            None => Command::new(program),
            Some(shim) => {
                let mut command = Command::new(shim);
                command.arg("__exec").arg(std::process::id().to_string()).arg(program);
                command
            }
        };
        command.args(arguments).env_clear();
        for (name, value) in env::vars_os() {
            let passed = name.to_str().is_some_and(|n| PASSED.contains(&n) || n.starts_with("LC_"));
            if passed {
                command.env(name, value);
            }
        }
        command.env("PATH", &self.path);
        command
    }

    /// Refuses an agent whose program is not on this host.
    pub(crate) fn check(&self, spec: &AgentSpec) -> Result<(), AgentError> {
        match spec.command.first().map(String::as_str) {
            None | Some("formic") => Ok(()),
            Some(program) => find(program, &self.path).map(drop).map_err(|error| {
                AgentError::failed("no-program", format!("agent {}: {error}", spec.name))
            }),
        }
    }

    /// Removes what no output file needs.
    pub(crate) fn remove(&self) {
        drop(std::fs::remove_dir_all(self.links.path()));
        // Succeeds only if no task left an output.
        drop(std::fs::remove_dir(&self.work_root));
    }
}

fn work_root(configured: Option<&Path>) -> Result<PathBuf, Error> {
    let Some(root) = configured else {
        let fresh = tempfile::Builder::new().prefix("formic-").tempdir();
        return Ok(fresh.map_err(Error::io("make a work folder"))?.keep());
    };
    let failed = || Error::io(format!("make the work folder {}", root.display()));
    std::fs::create_dir_all(root).map_err(failed())?;
    std::path::absolute(root).map_err(failed())
}

/// A program that is not on this host. The environment's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs `{program}`: not found on PATH, or not executable")]
pub struct MissingProgram {
    /// What was looked for.
    pub program: String,
}

/// Where the program of an agent lies; `None` if it needs none but the running executable or a shell.
///
/// # Errors
/// It is not on this host.
pub fn find_program(spec: &AgentSpec) -> Result<Option<PathBuf>, MissingProgram> {
    match spec.command.first().map(String::as_str) {
        None | Some("formic") => Ok(None),
        Some(program) => find(program, &env::var_os("PATH").unwrap_or_default()).map(Some),
    }
}

fn find(program: &str, path: &OsString) -> Result<PathBuf, MissingProgram> {
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        env::split_paths(path).map(|folder| folder.join(program)).collect()
    };
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    candidates.into_iter().find(runs).ok_or_else(|| MissingProgram { program: program.to_owned() })
}
