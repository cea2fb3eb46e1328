//! The `formic` binary: plans, reports and certificates for people and programs.

mod args;
mod certificate;
mod doctor;
mod events;
mod exit;
mod folder;
mod later;
mod nearest;
mod output;
mod plan;
mod programs;
mod report;
mod span;
mod verify;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
pub use certificate::{Unverified, read as read_certificate, verify as verify_certificate, write as write_certificate};
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
        output::note(text.trim_end());
        Exit::Usage.into()
    } else {
        output::data(&text);
        Exit::Ok.into()
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Stop> {
    later::command(&cli.command)?;
    match &cli.command {
        Command::Run(args) => {
            later::run(args)?;
            let given = args.input.iter().cloned().collect();
            let plan = CheckedPlan::load(&args.plan, &given)?;
            plan.placed()?;
            programs::require(&plan.agents)?;
            Ok(Exit::Ok)
        }
        Command::Verify(args) => verify::run(args),
        Command::Why(args) => why::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "formic", &mut script);
            output::data(&String::from_utf8_lossy(&script));
            Ok(Exit::Ok)
        }
        Command::Man => man(),
        _ => Err(Stop::usage("not yet")),
    }
}

fn man() -> Result<Exit, Stop> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Stop::usage(format!("the man page cannot be written: {error}")))?;
    output::data(&String::from_utf8_lossy(&page));
    Ok(Exit::Ok)
}
