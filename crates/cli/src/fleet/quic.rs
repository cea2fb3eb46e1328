use core::time::Duration;
use std::{env, ffi::OsString, path::PathBuf, process::Stdio};

use formic_core::{PeerId, transport::Address};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

use super::{Launch, shown};
use crate::{
    exit::{Exit, Stop},
    host::Spec,
};

/// What tells a peer to leave in good order.
const LEAVE: &[u8] = b"leave\n";
/// How long a peer's process may take to say where it listens.
const START: Duration = Duration::from_secs(20);

/// Peers in processes of their own, on loopback.
#[derive(Debug)]
pub(crate) struct Peers {
    peers: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    pid: u32,
    address: Address,
    peer: PeerId,
    ended: bool,
}

impl Peers {
    pub(crate) async fn start(launch: &Launch) -> Result<Self, Stop> {
        let program = env::current_exe()
            .map_err(|error| Stop::usage(format!("where is this executable? {error}")))?;
        let Some((first, others)) = launch.specs.split_first() else {
            return Ok(Self { peers: Vec::new() });
        };
        let founder =
            spawn(program.clone(), arguments(first, launch, None), first.name.clone()).await?;
        let mut starting = JoinSet::new();
        for (index, spec) in others.iter().enumerate() {
            let arguments = arguments(spec, launch, Some(&founder.address));
            let (program, name) = (program.clone(), spec.name.clone());
            starting.spawn(async move { (index, spawn(program, arguments, name).await) });
        }
        let mut joined = Vec::new();
        while let Some(started) = starting.join_next().await {
            let (index, process) = started.map_err(Stop::usage)?;
            joined.push((index, process?));
        }
        joined.sort_by_key(|(index, _)| *index);
        let mut peers = vec![founder];
        peers.extend(joined.into_iter().map(|(_, process)| process));
        Ok(Self { peers })
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.peers.iter().map(|peer| peer.address.clone()).collect()
    }

    pub(crate) fn alive(&mut self) -> Vec<usize> {
        let mut alive = Vec::new();
        for (index, peer) in self.peers.iter_mut().enumerate() {
            peer.ended = peer.ended || !matches!(peer.child.try_wait(), Ok(None));
            if !peer.ended {
                alive.push(index);
            }
        }
        alive
    }

    pub(crate) fn pid(&self, index: usize) -> u32 {
        self.peers.get(index).map_or(0, |peer| peer.pid)
    }

    /// Only the first digits are known here: its own log lines tell the incarnation.
    pub(crate) fn life(&self, index: usize) -> Option<String> {
        self.peers.get(index).map(|peer| peer.peer.short())
    }

    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(peer) = self.peers.get_mut(index) {
            // Refused only where the process has ended already.
            drop(peer.child.start_kill());
            peer.ended = true;
        }
    }

    /// Tells every peer whose packets it drops: those of the other side.
    pub(crate) async fn cut(&mut self, side: &[usize]) {
        for index in self.alive() {
            let here = side.contains(&index);
            let others = self
                .peers
                .iter()
                .enumerate()
                .filter(|(other, _)| !side.is_empty() && side.contains(other) != here);
            let addresses: Vec<String> = others.map(|(_, peer)| shown(&peer.address)).collect();
            let line = format!("cut {}\n", addresses.join(" "));
            if let Some(stdin) = self.peers[index].child.stdin.as_mut() {
                // A peer that has just died needs no word.
                drop(stdin.write_all(line.as_bytes()).await);
            }
        }
    }

    pub(crate) async fn leave(&mut self, grace: Duration) {
        for peer in &mut self.peers {
            // A word before the end of its stdin: the end alone means that the launcher died.
            if let Some(mut stdin) = peer.child.stdin.take() {
                drop(stdin.write_all(LEAVE).await);
            }
        }
        let all = async {
            for peer in &mut self.peers {
                drop(peer.child.wait().await);
            }
        };
        if timeout(grace, all).await.is_err() {
            for index in self.alive() {
                self.kill(index);
            }
        }
        self.reap().await;
    }

    /// Waits for processes that were killed.
    pub(crate) async fn reap(&mut self) {
        for peer in &mut self.peers {
            drop(peer.child.wait().await);
            peer.ended = true;
        }
    }
}

fn arguments(spec: &Spec, launch: &Launch, join: Option<&Address>) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        ["peer", "--tied", "--listen", "127.0.0.1:0"].map(Into::into).into();
    let mut flag = |name: &str, value: OsString| words.extend([OsString::from(name), value]);
    flag("--name", spec.name.clone().into());
    flag("--slots", spec.slots.max(1).to_string().into());
    flag("--events", launch.events.clone().into());
    flag("--epoch-us", launch.epoch_us.to_string().into());
    for capability in &spec.capabilities {
        flag("--capability", capability.as_str().into());
    }
    let folders = [("--state", &spec.state), ("--work", &spec.work)];
    for (name, folder) in folders {
        if let Some(folder) = folder {
            flag(name, folder.clone().into());
        }
    }
    if let Some(address) = join {
        flag("--join", shown(address).into());
    }
    words
}

async fn spawn(program: PathBuf, arguments: Vec<OsString>, name: String) -> Result<Process, Stop> {
    let failed =
        |what: String| Stop::new(Exit::Usage, format!("peer {name} did not start: {what}"));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C on the terminal is for the launcher alone.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let pid = child.id().unwrap_or(0);
    let stdout = child.stdout.take().ok_or_else(|| failed("it has no stdout".to_owned()))?;
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    match timeout(START, reader.read_line(&mut line)).await {
        Ok(Ok(read)) if read > 0 => {}
        Ok(Ok(_)) => return Err(failed("its reason stands above".to_owned())),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("it said nothing for {} s", START.as_secs()))),
    }
    let (address, peer) =
        parse(&line).ok_or_else(|| failed(format!("it said {:?}", line.trim_end())))?;
    Ok(Process { child, pid, address, peer, ended: false })
}

/// `listening ADDRESS peer PEERID`.
fn parse(line: &str) -> Option<(Address, PeerId)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["listening", address, "peer", peer] => {
            Some((Address::new("quic", address), peer.parse().ok()?))
        }
        _ => None,
    }
}
