//! The `formic` binary: plans, reports and certificates for people and programs.
//!
//! ```text
//!   plan.yaml --> CheckedPlan --> peers (this process, or one process each) --> verdict
//!                     |                        |                                   |
//!              exit 2, file:line:column   event log --> report, `formic why`   certificate --> `formic verify`
//! ```
//!
//! Everything is in this library; `main.rs` calls [`main`]. What other programs may use: plans are checked and
//! certificates are read and verified without any peer.
//!
//! ```
//! use formic_cli::{CheckedPlan, Source};
//!
//! let text = "version: 1\ntasks:\n  build: {run: make}\n  test: {needs: [biuld], run: make test}\n";
//! let source = Source { name: "plan.yaml".to_owned(), text: text.to_owned() };
//! let stop = CheckedPlan::check(source, &Default::default()).unwrap_err();
//! assert_eq!(stop.exit.code(), 2);
//! assert!(stop.message.starts_with("plan.yaml:4:18: error: task `test` needs `biuld`"));
//! assert!(stop.message.ends_with("did you mean `build`?"));
//! ```
//!
//! **Guarantees.**
//! - A bad plan is told whole, with file, line, column, what was expected and the nearest valid name, and nothing is
//!   started (`plan::tests::bad_plans_get_their_messages`); damaged plans never panic
//!   (`plan::tests::damaged_plans_are_told_or_read`).
//! - `tasks.lost` is computed by walking the execution tree that produced the result
//!   (`report::tests::a_spawned_task_without_result_is_lost`).
//! - A certificate with any byte changed is refused with a reason
//!   (`certificate::tests::every_flipped_byte_is_refused`, and with a real one in `tests/cli`).
//! - Killed peers cost nothing but time, and a job goes on after all of them were killed (`tests/cli/jobs.rs`).
//! - Ctrl-C leaves no process behind (`tests/cli/jobs.rs`).
//! - What the contract has and this version does not is refused by name (`tests/cli/bad-commands.txt`).
//!
//! **Limits.** Unix only. `formic run` starts peers on loopback only; a mesh over several hosts is one `formic peer` per host with
//! a certificate (`formic ca`). Certificates end with their time; there is no revocation yet. One client per certificate at a
//! time (`mesh_key`). Output files of tasks lie in the
//! folder of their run, of which the latest 20 are kept. After a reboot, a resumed job's log begins anew and `tasks.lost`
//! counts from there. Token counts are `null`: this version has no meter.
//!
//! **Sources.** Messages in the form of compilers (`file:line:column: error: ...`). YAML events with spans from
//! granit-parser. Deviation from YAML: anchors, aliases and tags are refused.

mod args;
mod ca;
mod certificate;
mod conclude;
mod decision;
mod doctor;
mod events;
mod example;
mod exit;
mod fleet;
mod folder;
mod hex;
mod host;
mod interrupt;
mod later;
mod link;
mod mesh;
mod mesh_key;
mod nearest;
mod output;
mod peer;
mod plan;
mod programs;
mod report;
mod run;
mod span;
mod status;
mod submit;
mod verify;
mod why;

use core::time::Duration;
use std::{io::IsTerminal as _, process::ExitCode};

use clap::{
    CommandFactory as _, Parser as _,
    error::{ContextKind, ContextValue},
};

use args::{Cli, Command};
pub use certificate::{
    Unverified, read as read_certificate, verify as verify_certificate, write as write_certificate,
};
pub use exit::{Exit, Stop};
pub use plan::{CheckedPlan, Problem, Source, Unplaced};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match dispatch(&cli) {
        Ok(exit) => exit.into(),
        Err(stop) => {
            output::note(&stop.message);
            stop.exit.into()
        }
    }
}

/// Help and version are data; a bad command line is told and refused.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if error.use_stderr() {
        let text = text.trim_end();
        match slip(error).filter(|_| !text.contains("tip:")) {
            Some(command) => output::note(&format!("{text}\ndid you mean `formic {command}`?")),
            None => output::note(text),
        }
        Exit::Usage.into()
    } else {
        output::data(&text);
        Exit::Ok.into()
    }
}

/// The command that was meant, where another word was written.
fn slip(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(written)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let command = Cli::command();
    let names =
        command.get_subcommands().filter(|it| !it.is_hide_set()).map(clap::Command::get_name);
    nearest::nearest(written, names).map(str::to_owned)
}

fn dispatch(cli: &Cli) -> Result<Exit, Stop> {
    later::command(&cli.command)?;
    log_to_stderr(cli.verbose);
    match &cli.command {
        Command::Run(args) => on_runtime(run::run(args)),
        Command::Peer(args) => on_runtime(peer::run(args)),
        Command::Submit(args) => on_runtime(submit::run(args)),
        Command::Status(args) => on_runtime(status::run(args)),
        Command::Example { example } => on_runtime(example::run(example)),
        Command::Mesh { mesh } => on_runtime(mesh::run(mesh)),
        Command::Ca { ca } => ca::run(ca),
        Command::Sim { words } => sim(words),
        Command::Verify(args) => verify::run(args),
        Command::Why(args) => why::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions { shell } => completions(*shell),
        Command::Man => man(),
        Command::Exec { words } => {
            let error = formic_agents::shim::exec(words.iter().cloned());
            Err(Stop::new(Exit::NotStarted, format!("cannot start: {error}")))
        }
        // Refused above.
        Command::Pause(_) | Command::Resume(_) | Command::Session(_) | Command::Artifact(_) => {
            Ok(Exit::Usage)
        }
    }
}

fn on_runtime(work: impl Future<Output = Result<Exit, Stop>>) -> Result<Exit, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Stop::usage(format!("the runtime did not start: {error}")))?;
    let ended = runtime.block_on(work);
    // A read of stdin cannot be interrupted: it must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended
}

/// Logs of the libraries: warnings, more with `-v`, as RUST_LOG says if it is set.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!plain)
        .finish();
    // Set once: this is the only place.
    drop(tracing::subscriber::set_global_default(subscriber));
}

/// A violated claim is a bug of formic: exit 1.
fn sim(words: &[String]) -> Result<Exit, Stop> {
    if words.first().is_some_and(|word| word == "help" || word == "--help" || word == "-h") {
        output::data(formic_campaign::USAGE.trim_end());
        return Ok(Exit::Ok);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    formic_campaign::sim(&words).map(|()| Exit::Ok).map_err(|failure| match failure {
        formic_campaign::Failure::Violated { .. } => Stop::new(Exit::TaskFailed, failure),
        other => Stop::usage(other),
    })
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "formic", &mut script);
    output::data(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}

fn man() -> Result<Exit, Stop> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Stop::usage(format!("the man page cannot be written: {error}")))?;
    output::data(&String::from_utf8_lossy(&page));
    Ok(Exit::Ok)
}
