//! `formic peer`: one long-running peer of a mesh on this host.

use core::time::Duration;
use std::num::NonZero;

use formic::{Adapter, AgentSpec, EventLog, Peer};
use formic_quic::Cut;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    args::PeerArgs,
    exit::{Exit, Stop},
    folder,
    host::{self, Spec},
    interrupt::Interrupts,
    later, link, output,
};

/// After this time without a mesh, a peer says that it is alone.
const ALONE: Duration = Duration::from_secs(3);
/// How long the peer of a launcher that was killed may take to let go of its state.
const UNLOCK: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &PeerArgs) -> Result<Exit, Stop> {
    later::peer(&args.later)?;
    let mut interrupts = Interrupts::new()?;
    let contacts = link::contacts(&args.join, args.announce.as_deref())?;
    let listen = link::listen(&args.listen, args.mesh_key.as_deref())?;
    let log = event_log(args)?;
    let patience = if args.tied { UNLOCK } else { Duration::ZERO };
    let identity = host::identify_within(args.state.as_deref(), patience).await?;
    let cut = Cut::new();
    // Only a launcher cuts.
    let membership = match &args.mesh_key {
        Some(path) => Some(link::membership(path, &identity.0)?),
        None => None,
    };
    let cuts = args.tied.then(|| cut.clone());
    let link = link::quic(listen, &identity.0, (membership, cuts)).await?;
    let address = link.addresses().first().map(ToString::to_string).unwrap_or_default();
    let spec = spec(args, &address)?;
    let name = spec.name.clone();
    let peer = host::start(spec, link, identity, log, contacts).await?;
    let shown = address.strip_prefix("quic:").unwrap_or(&address);
    output::data(&format!("listening {shown} peer {}", peer.life().peer));
    let _note = Note::leave(shown);
    if !args.tied {
        let mesh = if args.join.is_empty() { "founds a mesh" } else { "joins the mesh" };
        greet(&peer, (&name, mesh), shown);
    }
    live(&peer, &mut interrupts, (args, &cut)).await
}

fn event_log(args: &PeerArgs) -> Result<EventLog, Stop> {
    let Some(path) = &args.events else { return Ok(EventLog::none()) };
    let epoch_us = args.epoch_us.unwrap_or_else(EventLog::epoch);
    EventLog::file(path, epoch_us).map_err(|error| Stop::usage(format!("--events {error}")))
}

fn spec(args: &PeerArgs, address: &str) -> Result<Spec, Stop> {
    let mut capabilities = args.capability.clone();
    capabilities.sort();
    capabilities.dedup();
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let slots = args.slots.unwrap_or_else(|| u32::try_from(processors).unwrap_or(1).min(1_024));
    let agent = match &args.agent {
        Some(text) => Some(own_agent(text, &capabilities, slots)?),
        None => None,
    };
    let port = address.rsplit(':').next().unwrap_or("0");
    let name = args.name.clone().unwrap_or_else(|| format!("peer-{port}"));
    let (state, work) = (args.state.clone(), args.work.clone());
    Ok(Spec { name, capabilities, slots, state, work, agent })
}

/// `ADAPTER` or `ADAPTER:COMMAND LINE`.
fn own_agent(
    text: &str,
    capabilities: &[formic::Capability],
    slots: u32,
) -> Result<AgentSpec, Stop> {
    let (adapter, command) = text.split_once(':').unwrap_or((text, ""));
    let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let adapter = match adapter {
        "command" => Adapter::Command,
        "jsonl" if command.is_empty() => {
            let message =
                format!("--agent {text}: which program? e.g. 'jsonl:formic example treehash'");
            return Err(Stop::usage(message));
        }
        "jsonl" => Adapter::Jsonl,
        "acp" | "codex-app-server" => {
            let what = format!("--agent {adapter}");
            return Err(Stop::usage(crate::plan::not_yet(&what, "sessions")));
        }
        _ => {
            let help =
                crate::nearest::suggestion(adapter, ["command", "jsonl"]).unwrap_or_default();
            return Err(Stop::usage(format!("--agent {text}: unknown adapter; {help}")));
        }
    };
    let capabilities = capabilities.to_vec();
    Ok(AgentSpec { name: "own".to_owned(), adapter, command, capabilities, slots })
}

fn greet(peer: &Peer, (name, mesh): (&str, &str), address: &str) {
    output::note(&format!(
        "{name} ({}) {mesh}. Others join with --join {address}; Ctrl-C leaves in good order.",
        peer.life()
    ));
}

/// Until it is told to leave, by a signal, by a launcher that ends, or by a client.
async fn live(
    peer: &Peer,
    interrupts: &mut Interrupts,
    (args, cut): (&PeerArgs, &Cut),
) -> Result<Exit, Stop> {
    let told_to_leave = tokio::select! {
        () = interrupts.next() => true,
        word = last_word(args, cut) => {
            if word == LastWord::Nothing {
                // The launcher was killed, and all its peers lost it at once: there is nobody to hand work to.
                peer.kill();
                return Ok(Exit::Interrupted);
            }
            true
        }
        _ = peer.stopped() => false,
        () = say_if_alone(peer, args) => false,
    };
    let ending = if told_to_leave {
        if !args.tied {
            output::note("leaving: its work goes to the others; Ctrl-C again stops at once");
        }
        tokio::select! {
            ending = peer.leave() => ending,
            () = interrupts.next() => {
                peer.kill();
                return Ok(Exit::Interrupted);
            }
        }
    } else {
        peer.stopped().await
    };
    match ending {
        formic::Stopped::Left => Ok(Exit::Ok),
        formic::Stopped::Killed => Err(Stop::new(Exit::NoQuorum, "the peer was stopped")),
        formic::Stopped::Failed(error) => Err(Stop::new(Exit::NoQuorum, error)),
        _ => Err(Stop::new(Exit::NoQuorum, "the peer's transport was shut down")),
    }
}

/// Tells the user once that nobody let the peer in so far. Never ends.
async fn say_if_alone(peer: &Peer, args: &PeerArgs) {
    if !args.tied && !args.join.is_empty() {
        tokio::time::sleep(ALONE).await;
        if peer.status().await.is_ok_and(|status| status.mesh.is_none()) {
            let seeds = args.join.join(", ");
            output::note(&format!("no peer answers at {seeds} yet: it keeps trying"));
        }
    }
    core::future::pending::<()>().await;
}

/// How the launcher's words end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastWord {
    Leave,
    /// It was killed.
    Nothing,
}

/// Obeys the launcher until it closes our stdin. An unreadable stdin says nothing, as a dead launcher.
async fn last_word(args: &PeerArgs, cut: &Cut) -> LastWord {
    if !args.tied {
        return core::future::pending().await;
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("leave") => return LastWord::Leave,
            Some("cut") => cut.set(words.filter_map(|word| word.parse().ok())),
            _ => output::note(&format!("the launcher said {line:?}, which means nothing")),
        }
    }
    LastWord::Nothing
}

/// Tells `formic status` on this host where to ask, as long as the peer runs.
struct Note(std::path::PathBuf);

impl Note {
    fn leave(address: &str) -> Self {
        let path = folder::peer_note(std::process::id());
        // A courtesy: without it `formic status` needs --join.
        let written = path.parent().map(std::fs::create_dir_all);
        if matches!(written, Some(Ok(()))) {
            drop(std::fs::write(&path, address));
        }
        Self(path)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}
