//! The door: who is let in to begin a handshake (transport.md section 7.4).

use core::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    endpoint::Endpoint,
    hello,
    limits::{Admission, Finish, Source},
};

/// Lets strangers in, one after another, until the endpoint closes.
pub(crate) async fn attend(endpoint: Arc<Endpoint>) {
    while let Some(incoming) = endpoint.quinn.accept().await {
        let address = incoming.remote_address().ip();
        let source = match incoming.remote_address_validated() {
            true => Source::Proved,
            false => Source::Claimed,
        };
        let admission = endpoint.gate().admit(address, source, Instant::now());
        match admission {
            Admission::Begin => {
                let opened = Opened::new(Arc::clone(&endpoint), address, source);
                endpoint.spawn(hello::greet(Arc::clone(&endpoint), incoming, opened));
            }
            Admission::Retry => {
                if let Err(cannot) = incoming.retry() {
                    cannot.into_incoming().ignore();
                }
            }
            // No answer, whoever asks: an answer goes to whom the sender names.
            Admission::Ignore => incoming.ignore(),
        }
    }
}

/// A handshake that counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct Opened {
    endpoint: Arc<Endpoint>,
    address: IpAddr,
    source: Source,
    pub(crate) finish: Finish,
}

/// An accepted link that counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Accepted {
    endpoint: Arc<Endpoint>,
    address: IpAddr,
}

impl Opened {
    const fn new(endpoint: Arc<Endpoint>, address: IpAddr, source: Source) -> Self {
        Self { endpoint, address, source, finish: Finish::Failed }
    }

    /// It became a link.
    pub(crate) fn linked(mut self) -> Accepted {
        self.finish = Finish::Linked;
        Accepted { endpoint: Arc::clone(&self.endpoint), address: self.address }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let now = Instant::now();
        self.endpoint.gate().finish(self.address, self.source, self.finish, now);
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.endpoint.gate().leave(self.address, Instant::now());
    }
}
