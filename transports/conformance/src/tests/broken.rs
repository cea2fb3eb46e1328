//! A transport with one flaw.

use core::{
    task::{Context, Poll},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use formic_core::{
    Incarnation, Life, PeerId,
    transport::{
        Address, Capabilities, Class, CloseReason, Closed, ConnectError, Counters, Event,
        LinkError, LinkId, RenewError, Transport, TrySendError,
    },
};

use crate::{End, Probe};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// Every 101st message of a class is accepted and forgotten.
    Drops,
    /// The 100th message of a class goes behind the next one.
    Reorders,
    /// What is refused comes back empty.
    KeepsRefused,
    /// The last message of a link goes first on the next one.
    ResendsAfterReconnect,
}

#[derive(Default)]
struct State {
    held: BTreeMap<(LinkId, Class), Probe>,
    last: BTreeMap<Class, (LinkId, Probe)>,
}

pub(super) struct Broken {
    inner: End,
    flaw: Flaw,
    state: Mutex<State>,
}

impl Broken {
    pub(super) fn around(inner: End, flaw: Flaw) -> End {
        Arc::new(Self { inner, flaw, state: Mutex::default() })
    }
}

#[async_trait::async_trait]
impl Transport<Probe> for Broken {
    fn local(&self) -> Life {
        self.inner.local()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn addresses(&self) -> Vec<Address> {
        self.inner.addresses()
    }

    fn try_send(
        &self,
        link: LinkId,
        class: Class,
        message: Probe,
    ) -> Result<(), TrySendError<Probe>> {
        let mut state = self.state.lock().unwrap();
        let number = message.number;
        match self.flaw {
            Flaw::Drops if number == 100 => return Ok(()),
            Flaw::Reorders if number == 99 => {
                state.held.insert((link, class), message);
                return Ok(());
            }
            Flaw::ResendsAfterReconnect => {
                let last = state.last.insert(class, (link, message.clone()));
                if let Some((_, old)) = last.filter(|(of, _)| *of != link) {
                    self.inner.try_send(link, class, old).unwrap();
                }
            }
            _ => {}
        }
        let sent = self.inner.try_send(link, class, message);
        if sent.is_ok()
            && let Some(held) = state.held.remove(&(link, class))
        {
            self.inner.try_send(link, class, held).unwrap();
        }
        sent.map_err(|refused| match self.flaw {
            Flaw::KeepsRefused => {
                TrySendError { message: Probe { number: 0, body: vec![] }, ..refused }
            }
            _ => refused,
        })
    }

    fn poll_ready(
        &self,
        link: LinkId,
        class: Class,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        self.inner.poll_ready(link, class, cx)
    }

    fn poll_events(
        &self,
        cx: &mut Context<'_>,
        out: &mut Vec<Event<Probe>>,
        max: usize,
    ) -> Poll<Result<usize, Closed>> {
        self.inner.poll_events(cx, out, max)
    }

    async fn identify(&self, address: &Address) -> Result<PeerId, ConnectError> {
        self.inner.identify(address).await
    }

    async fn connect(&self, peer: PeerId, addresses: &[Address]) -> Result<LinkId, ConnectError> {
        self.inner.connect(peer, addresses).await
    }

    async fn close(&self, link: LinkId, reason: CloseReason) {
        self.inner.close(link, reason).await;
    }

    async fn renew(&self, incarnation: Incarnation) -> Result<(), RenewError> {
        self.inner.renew(incarnation).await
    }

    async fn shutdown(&self, grace: Duration) {
        self.inner.shutdown(grace).await;
    }

    fn counters(&self) -> Counters {
        self.inner.counters()
    }
}
