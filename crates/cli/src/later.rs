//! What the contract has and this version does not: refused by name, never ignored.

use crate::{
    args::{Command, PeerLater, RunArgs},
    exit::Stop,
    nearest::suggestion,
    plan::not_yet,
};

pub(crate) fn command(command: &Command) -> Result<(), Stop> {
    let (name, comes_with) = match command {
        Command::Pause(_) => ("pause", "sessions"),
        Command::Resume(_) => ("resume", "sessions"),
        Command::Session(_) => ("session", "sessions"),
        Command::Artifact(_) => ("artifact", "artifacts"),
        _ => return Ok(()),
    };
    Err(Stop::usage(not_yet(&format!("`formic {name}`"), comes_with)))
}

pub(crate) fn run(args: &RunArgs) -> Result<(), Stop> {
    topology(&args.topology)?;
    if args.later.budget.is_some() {
        return Err(Stop::usage(not_yet("`--budget`", "the token meter")));
    }
    if args.plan.as_os_str() == "-" {
        let what = "reading tasks from stdin (`formic run -`)";
        return Err(Stop::usage(not_yet(what, "streaming plans")));
    }
    Ok(())
}

pub(crate) fn peer(later: &PeerLater) -> Result<(), Stop> {
    if later.metrics.is_some() {
        return Err(Stop::usage(not_yet("`--metrics`", "dashboards")));
    }
    Ok(())
}

fn topology(shape: &str) -> Result<(), Stop> {
    match shape {
        "auto" | "mesh" => Ok(()),
        "adaptive" | "hierarchy" | "clusters" => {
            Err(Stop::usage(not_yet(&format!("`--topology {shape}`"), "topologies")))
        }
        _ => {
            let help = suggestion(shape, ["auto", "mesh"]).unwrap_or_default();
            Err(Stop::usage(format!("`--topology {shape}`: no such shape; {help}")))
        }
    }
}
