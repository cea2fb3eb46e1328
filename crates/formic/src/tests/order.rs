//! What a peer says is durable before it is said.

use core::{
    task::{Context, Poll},
    time::Duration,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use formic_completion::{Message as JobMessage, Record as JobRecord};
use formic_core::transport::{
    Address, Capabilities, Class, CloseReason, Closed, ConnectError, Counters, Event, LinkError,
    LinkId, RenewError, Transport, TrySendError,
};
use formic_memory::Memory;
use serde_json::json;

use super::harness::{World, plan, tester, watchdog};
use crate::{Incarnation, JobId, Life, Message, Peer, PeerId, Store};

/// A transport that looks into the store whenever its peer promises something.
struct Watched {
    inner: Arc<Memory<Message>>,
    store: Store,
    promises: Arc<AtomicUsize>,
}

impl Watched {
    fn check(&self, message: &Message) {
        let Message::Completion { job, message } = message else { return };
        let durable = match message {
            JobMessage::HomeAck { generation: 0 } => {
                self.has(*job, |record| matches!(record, JobRecord::Home { .. }))
            }
            JobMessage::AnnounceAck => {
                self.has(*job, |record| matches!(record, JobRecord::Closed { .. }))
            }
            _ => return,
        };
        assert!(durable, "{message:?} was sent before its record was durable");
        self.promises.fetch_add(1, Ordering::Relaxed);
    }

    fn has(&self, job: JobId, wanted: impl Fn(&JobRecord) -> bool) -> bool {
        let records = self.store.records().unwrap();
        records.iter().any(|record| {
            matches!(record, crate::Record::Job { job: of, record } if *of == job && wanted(record))
        })
    }
}

#[async_trait]
impl Transport<Message> for Watched {
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
        message: Message,
    ) -> Result<(), TrySendError<Message>> {
        self.check(&message);
        self.inner.try_send(link, class, message)
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
        out: &mut Vec<Event<Message>>,
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

#[tokio::test]
async fn a_record_is_durable_before_the_message_that_promises_it() {
    watchdog(async {
        let world = World::new();
        let mut mesh = world.mesh(1, 1).await;
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let promises = Arc::new(AtomicUsize::new(0));
        for dir in &dirs {
            let store = Store::open(dir.path()).unwrap();
            let identity = store.identity();
            let name = identity.life().peer.short();
            let inner = world.hub.join(identity.life(), &name).unwrap();
            let promises = Arc::clone(&promises);
            let transport = Arc::new(Watched { inner, store: store.clone(), promises });
            mesh.add(Peer::builder(transport, identity).store(store).agent(tester(1)))
                .await
                .unwrap();
        }
        let job = mesh.submit(&plan("sum", json!([2, 2]))).await.unwrap();
        job.wait().await.unwrap();
        // Both replicas acknowledged the job; a failed check would have ended its peer.
        assert!(promises.load(Ordering::Relaxed) >= 2);
        assert!(mesh.peers().iter().all(Peer::is_running));
    })
    .await;
}
