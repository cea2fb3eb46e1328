//! Everything that must pass before a change lands, in the order that fails soonest.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

/// What README tells a newcomer to run; `ci` runs the same words.
const README_TEST: &[&str] = &["cargo", "test", "--workspace"];
const README_RUN: &[&str] = &[
    "cargo",
    "run",
    "--",
    "run",
    "examples/treehash.yaml",
    "--input",
    "dir=crates",
    "--peers",
    "4",
];

struct Step {
    name: &'static str,
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

const STEPS: &[Step] = &[
    Step { name: "format", command: &["cargo", "fmt", "--all", "--check"], environment: &[] },
    Step { name: "layers", command: &["cargo", "xtask", "layers"], environment: &[] },
    Step {
        name: "clippy",
        command: &[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        environment: &[],
    },
    Step { name: "tests", command: README_TEST, environment: &[] },
    Step {
        name: "docs",
        command: &["cargo", "doc", "--workspace", "--no-deps", "--locked"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Step {
        name: "simulation of completion",
        command: &["cargo", "xtask", "sim", "completion", "--seeds", "2000"],
        environment: &[],
    },
    Step {
        name: "simulation of whole nodes",
        command: &["cargo", "xtask", "sim", "node", "--seeds", "2000"],
        environment: &[],
    },
    Step {
        name: "simulation of consensus, with liars",
        command: &["cargo", "xtask", "sim", "consensus", "--seeds", "2000"],
        environment: &[],
    },
    Step { name: "main job, memory", command: README_RUN, environment: &[] },
    Step {
        name: "main job, ten processes, two killed",
        command: &[
            "cargo",
            "run",
            "--",
            "run",
            "examples/treehash.yaml",
            "--input",
            "dir=crates",
            "--transport",
            "quic",
            "--peers",
            "10",
            "--kill",
            "2@50ms",
            "--json",
        ],
        environment: &[],
    },
];

pub(crate) fn run() -> Result<(), String> {
    let mut lines = Vec::new();
    let mut missing = Vec::new();
    for step in STEPS {
        lines.push(time(step)?);
    }
    match crate::hosts::missing() {
        None => lines.push(time(&Step {
            name: "several hosts",
            command: &["cargo", "xtask", "hosts"],
            environment: &[],
        })?),
        Some(why) => missing.push(format!("hosts ({why})")),
    }
    if installed("cargo-deny") {
        lines.push(time(&Step {
            name: "deny",
            command: &["cargo", "deny", "check"],
            environment: &[],
        })?);
    } else {
        missing.push("deny (cargo-deny is not installed: cargo install cargo-deny)".to_owned());
    }
    println!("\nci: all steps passed");
    for line in lines {
        println!("  {line}");
    }
    for what in missing {
        println!("NOT RUN: {what}");
    }
    Ok(())
}

fn time(step: &Step) -> Result<String, String> {
    println!("\n==> {}: {}", step.name, step.command.join(" "));
    let [program, arguments @ ..] = step.command else {
        return Err(format!("{} has no command", step.name));
    };
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .envs(step.environment.iter().copied())
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {program}: {error}", step.name))?;
    let seconds = start.elapsed().as_secs();
    if status.success() {
        Ok(format!("{:<40} {seconds:>5} s", step.name))
    } else {
        Err(format!("{} failed ({status}): {}", step.name, step.command.join(" ")))
    }
}

fn installed(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
