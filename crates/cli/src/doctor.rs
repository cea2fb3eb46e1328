//! `formic doctor`: is this host ready?

use std::{
    collections::BTreeMap, fs, io, net::UdpSocket, path::Path, process::Command, time::Duration,
};

use formic::{Mdns, Reach};

use crate::{
    args::DoctorArgs,
    exit::{Exit, Stop},
    folder, output,
    plan::CheckedPlan,
    programs,
};

/// Below it, a mesh of a few dozen peers in one process runs out of files.
const OPEN_FILES_MIN: u64 = 1_024;

enum Finding {
    Good(String),
    /// It works, but.
    Warning(String),
    Missing(String),
}

pub(crate) fn run(args: &DoctorArgs) -> Result<Exit, Stop> {
    let mut findings = vec![executable(), udp(), multicast(), open_files(), shell()];
    findings.push(writable("run logs", &folder::home()));
    if let Some(state) = &args.state {
        findings.push(writable("state directory", state));
    }
    if let Some(path) = &args.plan {
        let inputs: BTreeMap<_, _> = args.input.iter().cloned().collect();
        let plan = CheckedPlan::load(path, &inputs)?;
        findings.push(Finding::Good(format!(
            "plan {}: {} tasks",
            path.display(),
            plan.plan.tasks.len()
        )));
        for agent in &plan.agents {
            findings.push(match programs::locate(agent) {
                Ok(Some(program)) => {
                    Finding::Good(format!("agent {}: {}", agent.name, program.display()))
                }
                Ok(None) => Finding::Good(format!("agent {}: built in", agent.name)),
                Err(missing) => Finding::Missing(missing),
            });
        }
        findings.extend(plan.placed().err().map(|stop| Finding::Missing(stop.message)));
    }
    let mut missing = 0;
    for finding in &findings {
        match finding {
            Finding::Good(text) => output::data(&format!("ok       {text}")),
            Finding::Warning(text) => output::data(&format!("WARNING  {text}")),
            Finding::Missing(text) => {
                missing += 1;
                output::data(&format!("MISSING  {text}"));
            }
        }
    }
    if missing == 0 {
        output::data("This host is ready.");
        return Ok(Exit::Ok);
    }
    Err(Stop::new(
        Exit::NoPeer,
        format!("{missing} of {} checks failed: see above", findings.len()),
    ))
}

fn executable() -> Finding {
    match std::env::current_exe() {
        Ok(path) => {
            Finding::Good(format!("formic {}: {}", env!("CARGO_PKG_VERSION"), path.display()))
        }
        Err(error) => {
            Finding::Missing(format!("formic's own path, to start peers and workers: {error}"))
        }
    }
}

fn udp() -> Finding {
    match udp_round() {
        Ok(()) => Finding::Good("UDP on loopback, for --transport quic".to_owned()),
        Err(error) => Finding::Missing(format!("UDP on loopback, for --transport quic: {error}")),
    }
}

fn multicast() -> Finding {
    match Mdns::new("quic", Reach::Host).check() {
        Ok(()) => Finding::Good("multicast on loopback, for --join mdns".to_owned()),
        Err(error) => Finding::Warning(format!("--join mdns finds nobody: {}", error.what)),
    }
}

fn udp_round() -> io::Result<()> {
    let (here, there) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    there.set_read_timeout(Some(Duration::from_secs(2)))?;
    here.send_to(b"formic", there.local_addr()?)?;
    let mut buffer = [0; 16];
    let (length, from) = there.recv_from(&mut buffer)?;
    if &buffer[..length] == b"formic" && from == here.local_addr()? {
        Ok(())
    } else {
        Err(io::Error::other("another datagram arrived than was sent"))
    }
}

fn open_files() -> Finding {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if limit < OPEN_FILES_MIN => Finding::Warning(format!(
            "only {limit} open files are allowed: raise it with `ulimit -n {OPEN_FILES_MIN}`"
        )),
        Some(limit) => Finding::Good(format!("{limit} open files allowed")),
        None => Finding::Good("open files are not limited".to_owned()),
    }
}

fn shell() -> Finding {
    match Command::new("/bin/sh").args(["-c", "exit 7"]).status() {
        Ok(status) if status.code() == Some(7) => {
            Finding::Good("/bin/sh, for tasks with `run`".to_owned())
        }
        Ok(status) => {
            Finding::Missing(format!("/bin/sh, for tasks with `run`: it ends with {status}"))
        }
        Err(error) => Finding::Missing(format!("/bin/sh, for tasks with `run`: {error}")),
    }
}

fn writable(what: &str, folder: &Path) -> Finding {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&probe, b"formic"))
        .and_then(|()| fs::read(&probe))
        .and_then(|bytes| fs::remove_file(&probe).map(|()| bytes));
    match written {
        Ok(bytes) if bytes == b"formic" => Finding::Good(format!("{what} in {}", folder.display())),
        Ok(_) => Finding::Missing(format!(
            "{what} in {}: does not keep what is written",
            folder.display()
        )),
        Err(error) => Finding::Missing(format!("{what} in {}: {error}", folder.display())),
    }
}
