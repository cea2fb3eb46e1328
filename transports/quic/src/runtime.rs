use std::{io, sync::Arc, thread};

use tokio::{
    runtime::{Builder, Handle},
    sync::watch,
};

/// One thread that runs the endpoints given to it. Cloning is cheap; the thread ends with the last
/// clone.
#[derive(Clone, Debug)]
pub struct QuicRuntime(Arc<Thread>);

#[derive(Debug)]
struct Thread {
    handle: Handle,
    /// Dropped with the last clone: that stops the thread.
    _alive: watch::Sender<()>,
}

impl QuicRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread or no event loop.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, mut ended) = watch::channel(());
        thread::Builder::new().name("formic-quic".to_owned()).spawn(move || {
            // Nothing is ever sent: an error, the sender is gone, is the only news.
            drop(runtime.block_on(ended.changed()));
        })?;
        Ok(Self(Arc::new(Thread { handle, _alive: alive })))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
    }
}
