use std::sync::Arc;

use formic::AgentError;
use tokio::sync::mpsc;

use super::{
    pool::{Limits, Pool},
    wire::{Said, Step, Wire},
};
use crate::{
    host::Host,
    lines::Line,
    protocol::{
        self, ErrorMessage, FromAgent, FromHost, Hello, LineError, PROTOCOL, Ready, VERSION,
    },
};

/// Output before `ready` that is taken for the greeting of a library.
const CHATTER_MAX: usize = 64 << 10;

/// A process that said `ready`.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) wire: Wire,
    pub(super) said: mpsc::Receiver<Said>,
    pub(super) ready: Ready,
}

impl Opened {
    pub(super) fn limits(&self) -> Limits {
        let slots = usize::try_from(self.ready.slots).unwrap_or(usize::MAX);
        Limits { slots, interleave: self.offers("interleave") }
    }

    pub(super) fn offers(&self, feature: &str) -> bool {
        self.ready.features.iter().any(|offered| offered == feature)
    }
}

/// How long stderr of a process that ended may stay open. Long, since on a busy machine the reader may
/// be late, and short enough for a grandchild that keeps it open.
const LAST_WORDS: core::time::Duration = core::time::Duration::from_secs(5);

/// Starts a process and shakes hands.
pub(super) async fn open(pool: &Arc<Pool>, host: &dyn Host) -> Result<Opened, AgentError> {
    let name = &pool.spec.name;
    let failed = |error: String| AgentError::failed("open", format!("agent {name}: {error}"));
    let Some((program, arguments)) = pool.spec.command.split_first() else {
        return Err(failed("a jsonl agent needs a command".to_owned()));
    };
    let mut command = pool.environment.command(program, arguments);
    command.env("FORMIC_PROTOCOL", "agent/1").env("FORMIC_PEER", host.peer_name());
    let cannot = |error| failed(format!("cannot start {program}: {error}"));
    let program = pool.spawner.spawn(command).await.map_err(cannot)?;
    let (mut wire, mut said) =
        Wire::new(program, pool.config.line_max, pool.config.unread).map_err(cannot)?;
    wire.send(&FromHost::Hello(hello(pool, host)));
    let limit = pool.config.open_timeout;
    let ready = match tokio::time::timeout(limit, greet(&mut wire, &mut said)).await {
        Ok(ready) => ready,
        Err(_) => Err(format!("not ready within {limit:?}")),
    };
    match ready {
        Ok(ready) => Ok(Opened { wire, said, ready }),
        Err(error) => {
            let error = failed(format!("{error}{}", wire.quote()));
            wire.end(core::time::Duration::ZERO).await;
            Err(error)
        }
    }
}

fn hello(pool: &Pool, host: &dyn Host) -> Hello {
    Hello {
        protocol: PROTOCOL.to_owned(),
        versions: vec![VERSION],
        host: concat!("formic ", env!("CARGO_PKG_VERSION")).to_owned(),
        peer: host.peer_name().to_owned(),
        slots: pool.spec.slots,
        line_max: pool.config.line_max,
        inline_max: formic_core::VALUE_MAX,
    }
}

async fn greet(wire: &mut Wire, inbox: &mut mpsc::Receiver<Said>) -> Result<Ready, String> {
    let (mut chatter, mut exit) = (0, None);
    loop {
        let said = tokio::select! {
            said = inbox.recv() => said,
            step = wire.step(), if exit.is_none() => {
                if let Step::Exited(status) = step { exit = Some(status); }
                continue;
            }
        };
        match said {
            Some(Said::Out(Line::Whole(line))) => {
                chatter += line.len() + 1;
                if let Some(ready) = first_message(wire, &line)? {
                    return Ok(ready);
                }
            }
            Some(Said::Out(Line::TooLong)) => chatter = CHATTER_MAX + 1,
            Some(Said::Err(line)) => on_stderr(wire, line),
            Some(Said::End) | None => {
                let status = wire.status(crate::process::DRAIN).await;
                let status = status.map_or("it closed its stdout".to_owned(), |s| s.to_string());
                // Its last words on stderr may still be in the pipe.
                drop(tokio::time::timeout(LAST_WORDS, last_words(wire, inbox)).await);
                return Err(format!("ended before it was ready ({status})"));
            }
        }
        if chatter > CHATTER_MAX {
            return Err(format!("wrote more than {CHATTER_MAX} bytes before it was ready"));
        }
    }
}

/// Until stderr ends as well.
async fn last_words(wire: &mut Wire, said: &mut mpsc::Receiver<Said>) {
    while let Some(said) = said.recv().await {
        if let Said::Err(line) = said {
            on_stderr(wire, line);
        }
    }
}

fn on_stderr(wire: &mut Wire, line: Line) {
    if let Line::Whole(line) = line {
        wire.remember(String::from_utf8_lossy(&line).into_owned());
    }
}

fn first_message(wire: &mut Wire, line: &[u8]) -> Result<Option<Ready>, String> {
    match protocol::decode(line) {
        Err(LineError::Stray) => Ok(None),
        Err(error) => Err(format!("its first message is malformed: {error}")),
        Ok(FromAgent::Ready(ready)) if ready.version != VERSION => {
            let message = format!(
                "speaks version {} of {PROTOCOL}, this host speaks {VERSION}",
                ready.version
            );
            let code = "version_mismatch".to_owned();
            wire.send(&FromHost::Error(ErrorMessage {
                code,
                line: None,
                message: message.clone(),
            }));
            Err(message)
        }
        Ok(FromAgent::Ready(ready)) if ready.slots == 0 => {
            Err("its `ready` offers 0 slots, expected at least 1".to_owned())
        }
        Ok(FromAgent::Ready(ready)) => Ok(Some(ready)),
        Ok(_) => Err("its first message is not `ready`".to_owned()),
    }
}
