//! Ctrl-C and SIGTERM: the first asks, the second insists.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Stop;

/// Both signals as one stream.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From here on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub(crate) fn new() -> Result<Self, Stop> {
        let handler = |kind| signal(kind).map_err(Stop::usage);
        Ok(Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
        })
    }

    /// The next one. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
