use core::{ops::ControlFlow, time::Duration};
use std::sync::Arc;

use formic::AgentError;
use tokio::sync::mpsc;

use super::{
    Order,
    desk::Desk,
    open::Opened,
    pool::{Left, Pool},
    wire::{Said, Step, Wire},
};
use crate::{
    lines::Line,
    process::DRAIN,
    protocol::{self, ErrorMessage, FromAgent, FromHost, LineError},
};

/// Unknown types and tasks after which a process is killed.
const STRANGE_MAX: u32 = 100;
/// Types whose first use is answered; more are counted only.
const TYPES_MAX: usize = 64;

/// Why a process comes to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It ended, or broke the protocol and is killed: its tasks fail with this.
    Broken(AgentError),
    /// All its tasks are cancelled, and it does not stop them.
    Deaf,
    /// The agent is closed.
    Closed(Duration),
}

/// One lasting process: everything that happens to it goes through this loop.
#[derive(Debug)]
pub(super) struct Process {
    pool: Arc<Pool>,
    seat: u64,
    wire: Wire,
    said: mpsc::Receiver<Said>,
    orders: mpsc::Receiver<Order>,
    desk: Desk,
    lines: u64,
    bad_lines: u32,
    strange: u32,
    unknown_types: Vec<String>,
}

impl Process {
    pub(super) fn new(
        pool: Arc<Pool>,
        seat: u64,
        opened: Opened,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let desk = Desk::new(&pool, seat, &opened);
        let Opened { wire, said, .. } = opened;
        Self {
            pool,
            seat,
            wire,
            said,
            orders,
            desk,
            lines: 0,
            bad_lines: 0,
            strange: 0,
            unknown_types: Vec::new(),
        }
    }

    pub(super) async fn serve(mut self) {
        let stop = loop {
            let flow = tokio::select! {
                Some(said) = self.said.recv(), if !self.wire.is_over() => self.on_said(said).await,
                Some(order) = self.orders.recv() => self.on_order(order),
                Some(happened) = self.desk.happened.join_next() => match happened {
                    Ok(happened) => self.desk.on_happened(happened, &mut self.wire),
                    // Aborted, since its task ended. Matched here: a pattern that fails would switch this arm off.
                    Err(_) => ControlFlow::Continue(()),
                },
                step = self.wire.step() => self.on_step(step).await,
            };
            if let ControlFlow::Break(stop) = flow {
                break stop;
            }
        };
        self.stop(stop).await;
    }

    fn on_order(&mut self, order: Order) -> ControlFlow<Stop> {
        match order {
            Order::Start(start) => {
                self.desk.start(*start, &mut self.wire);
                ControlFlow::Continue(())
            }
            Order::Close(grace) => ControlFlow::Break(Stop::Closed(grace)),
        }
    }

    async fn on_step(&mut self, step: Step) -> ControlFlow<Stop> {
        match step {
            Step::Wrote => ControlFlow::Continue(()),
            Step::Unread => {
                let limit = self.pool.config.unread;
                broken("protocol", format!("did not read its messages for {limit:?}"))
            }
            Step::Exited(status) => {
                if let Some(stop) = self.hear_last_words().await {
                    return ControlFlow::Break(stop);
                }
                let status = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                broken("crashed", format!("the process ended ({status}){}", self.wire.quote()))
            }
        }
    }

    /// What it wrote before it ended may be a result.
    async fn hear_last_words(&mut self) -> Option<Stop> {
        while let Ok(Some(said)) = tokio::time::timeout(DRAIN, self.said.recv()).await {
            if said == Said::End {
                return None;
            }
            if let ControlFlow::Break(stop) = self.on_said(said).await {
                return Some(stop);
            }
        }
        None
    }

    async fn on_said(&mut self, said: Said) -> ControlFlow<Stop> {
        match said {
            Said::Out(Line::Whole(line)) => self.on_line(&line),
            Said::Out(Line::TooLong) => {
                let limit = self.pool.config.line_max;
                broken("protocol", format!("wrote a line of more than {limit} bytes"))
            }
            Said::Err(Line::Whole(line)) => {
                let line = String::from_utf8_lossy(&line).into_owned();
                self.desk.log(line.clone());
                self.wire.remember(line);
                ControlFlow::Continue(())
            }
            Said::Err(Line::TooLong) => {
                self.desk.log("(a long line of stderr is left out)".to_owned());
                ControlFlow::Continue(())
            }
            Said::End => {
                let status = self.wire.status(DRAIN).await;
                let status = status.map_or("it closed its stdout".to_owned(), |s| s.to_string());
                broken("crashed", format!("the process ended ({status}){}", self.wire.quote()))
            }
        }
    }

    fn on_line(&mut self, line: &[u8]) -> ControlFlow<Stop> {
        self.lines += 1;
        let known = match protocol::decode::<FromAgent>(line) {
            Ok(FromAgent::Ready(_)) => return self.on_bad_line("a second `ready`".to_owned()),
            Ok(message) => self.desk.on_message(message, &mut self.wire),
            Err(LineError::Stray) => return self.on_stray(line),
            Err(LineError::Bad(message)) => return self.on_bad_line(message),
            Err(LineError::UnknownType { name, id }) => {
                self.on_unknown_type(name, id);
                false
            }
        };
        self.strange += u32::from(!known);
        if self.strange >= STRANGE_MAX {
            let text = format!("sent {STRANGE_MAX} messages of unknown types or for unknown tasks");
            return broken("protocol", text);
        }
        self.desk.deaf_or_on()
    }

    fn on_stray(&mut self, line: &[u8]) -> ControlFlow<Stop> {
        let seen = self.desk.stray(line.len() + 1);
        let limit = self.pool.config.stdout_max;
        if seen > limit {
            return broken("flood", format!("wrote more than {limit} bytes of stray output"));
        }
        self.desk.log(String::from_utf8_lossy(line).into_owned());
        ControlFlow::Continue(())
    }

    fn on_bad_line(&mut self, message: String) -> ControlFlow<Stop> {
        self.bad_lines += 1;
        let limit = self.pool.config.bad_lines;
        if self.bad_lines >= limit {
            return broken(
                "protocol",
                format!("wrote {limit} malformed lines, the last: {message}"),
            );
        }
        let (code, line) = ("bad_line".to_owned(), Some(self.lines));
        self.wire.send(&FromHost::Error(ErrorMessage { code, line, message }));
        ControlFlow::Continue(())
    }

    fn on_unknown_type(&mut self, name: String, id: Option<String>) {
        let message = format!("this host does not offer {name:?}");
        if let Some(re) = id {
            // A worker that blocks on the answer must not wait for ever.
            self.wire.send(&super::desk::refusal(re, "unknown_type", &message));
        }
        if self.unknown_types.contains(&name) || self.unknown_types.len() >= TYPES_MAX {
            return;
        }
        self.unknown_types.push(name);
        let code = "unknown_type".to_owned();
        self.wire.send(&FromHost::Error(ErrorMessage { code, line: Some(self.lines), message }));
    }

    /// Ends the process first: a task's slot is free only when nothing of it runs any more.
    async fn stop(mut self, stop: Stop) {
        self.pool.leaving(self.seat);
        tracing::debug!(agent = %self.pool.spec.name, ?stop, "an agent's process is ended");
        let mut grace = Duration::ZERO;
        if let Stop::Closed(patience) = &stop {
            grace = *patience;
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            self.wire.send(&FromHost::Shutdown { grace_ms });
        }
        // Its pumps would wait for room for ever.
        self.said.close();
        self.wire.end(grace).await;
        let (error, left) = match stop {
            Stop::Broken(error) if self.desk.is_stopping() => (error, Left::Retired),
            Stop::Broken(error) => (error, Left::Died),
            Stop::Deaf => (AgentError::failed("cancelled", "cancelled"), Left::Retired),
            Stop::Closed(_) => {
                (AgentError::failed("closed", "the agent was closed"), Left::Retired)
            }
        };
        // Orders that were not begun are given to another process: their replies are dropped unused.
        self.orders.close();
        self.desk.fail_all(&error);
        self.pool.left(self.seat, left);
    }
}

fn broken(code: &str, message: String) -> ControlFlow<Stop> {
    ControlFlow::Break(Stop::Broken(AgentError::failed(code, message)))
}
