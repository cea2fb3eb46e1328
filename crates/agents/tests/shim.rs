//! The shim in its three roles: shim, peer, and the test that kills the peer.
#![expect(clippy::print_stdout, reason = "a test without harness reports by itself")]

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _},
    process::{Command, ExitCode, Stdio},
};

use formic_agents::shim;

fn main() -> io::Result<ExitCode> {
    let role = env::args().nth(1);
    match role.as_deref() {
        Some("__exec") => {
            let error = shim::exec(env::args_os().skip(2));
            println!("{error}");
            Ok(ExitCode::from(127))
        }
        Some("peer") => peer(),
        _ => {
            a_killed_peer_takes_its_agent_along()?;
            a_wrong_parent_and_a_missing_program_are_refused()?;
            println!("shim: 2 passed");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn through_shim(parent: u32, program: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("__exec").arg(parent.to_string()).args(program);
    Ok(command)
}

/// Starts an agent, says its process id, waits.
fn peer() -> io::Result<ExitCode> {
    let mut agent = through_shim(std::process::id(), &["sleep", "1000"])?.spawn()?;
    println!("{}", agent.id());
    agent.wait()?;
    Ok(ExitCode::SUCCESS)
}

fn a_killed_peer_takes_its_agent_along() -> io::Result<()> {
    let mut peer = Command::new(env::current_exe()?).arg("peer").stdout(Stdio::piped()).spawn()?;
    let stdout = peer.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
    let mut output = BufReader::new(stdout);
    let mut agent = String::new();
    output.read_line(&mut agent)?;
    let name = format!("/proc/{}/comm", agent.trim());
    while std::fs::read_to_string(&name)? != "sleep\n" {
        std::thread::yield_now();
    }
    peer.kill()?;
    peer.wait()?;
    // The agent holds the peer's stdout: its end is the agent's end.
    output.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn a_wrong_parent_and_a_missing_program_are_refused() -> io::Result<()> {
    let wrong = through_shim(1, &["true"])?.output()?;
    assert_eq!(wrong.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("is gone"));
    let missing = through_shim(std::process::id(), &["/nowhere/program"])?.output()?;
    assert!(String::from_utf8_lossy(&missing.stdout).contains("/nowhere/program"));
    Ok(())
}
