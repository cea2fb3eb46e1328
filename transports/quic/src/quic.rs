use core::{
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    net::UdpSocket,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use formic_core::{
    Incarnation, Life, PeerId,
    transport::{
        Address, Capabilities, Class, CloseReason, Closed, ConnectError, Counters, Event, Lanes,
        LinkError, LinkId, Misbehaviour, RenewError, Transport, TrySendError,
    },
    wire,
};
use quinn::{EndpointConfig, Runtime as _, TokioRuntime, TransportConfig, VarInt};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::{
    QuicRuntime,
    config::{BindError, Config, DATAGRAM_MAX},
    connect, door,
    endpoint::{Endpoint, Entry, hold},
    limits::Strangers,
    link::Link,
    pulse::Control,
    tls,
};

/// One peer's end: a UDP socket, its links and their events. Dropped without shutdown, nothing is
/// flushed, and the other sides may notice only by their idle timeout.
pub struct Quic<M> {
    endpoint: Arc<Endpoint>,
    /// What `poll_events` swapped out and did not hand out yet.
    taken: Mutex<Lanes<Entry>>,
    message: PhantomData<fn() -> M>,
}

/// What the round trip is taken for until one was measured. A lost first packet is sent again after three of them: at
/// 0.3 and 0.9 s, within the second that a dial may take.
const FIRST_RTT: Duration = Duration::from_millis(100);

fn transport(config: &Config) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let window = u32::try_from(config.stream_window).unwrap_or(u32::MAX);
    transport
        .max_idle_timeout(quinn::IdleTimeout::try_from(config.idle_timeout).ok())
        .keep_alive_interval(None)
        .initial_rtt(FIRST_RTT)
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(4))
        .stream_receive_window(VarInt::from_u32(window))
        // Both above three streams, so that no class eats another's credit.
        .receive_window(VarInt::from_u32(window.saturating_mul(4)))
        .send_window(u64::from(window) * 4)
        .datagram_receive_buffer_size(Some(64 << 10))
        .datagram_send_buffer_size(64 << 10)
        .congestion_controller_factory(Arc::new(Control::default()));
    transport
}

impl<M> Quic<M> {
    /// Binds the socket and starts to answer.
    ///
    /// Cancel-safe: a dropped future leaves nothing behind.
    ///
    /// # Errors
    /// Any [`BindError`].
    #[expect(clippy::unused_async, reason = "the cold calls of a transport are async")]
    pub async fn bind(config: Config) -> Result<Arc<Self>, BindError> {
        config.check()?;
        let proof = tls::Proof::of(&config)?;
        let shared = Arc::new(transport(&config));
        let mut server = tls::server(proof.clone())?;
        server
            .transport_config(Arc::clone(&shared))
            .max_incoming(usize::try_from(config.limits.open).unwrap_or(usize::MAX))
            // What comes before a handshake is looked at, per handshake and of all.
            .incoming_buffer_size(16 << 10)
            .incoming_buffer_size_total(1 << 20);
        let mut client = tls::client(proof)?;
        client.transport_config(shared);
        let mut fate = [0; 16];
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        random.fill(&mut fate).map_err(|error| BindError::Tls(format!("{error:?}")))?;

        let refused = |source| BindError::Bind { address: config.listen, source };
        let socket = UdpSocket::bind(config.listen).map_err(refused)?;
        let runtime = match config.runtime.clone() {
            Some(runtime) => runtime,
            None => QuicRuntime::new().map_err(BindError::Thread)?,
        };
        let mut quinn = {
            let _inside = runtime.handle().enter();
            let quinn_runtime = Arc::new(TokioRuntime);
            let socket = quinn_runtime.wrap_udp_socket(socket).map_err(refused)?;
            let socket = match config.cut.clone() {
                Some(cut) => cut.around(socket),
                None => socket,
            };
            let (own, server) = (EndpointConfig::default(), Some(server));
            quinn::Endpoint::new_with_abstract_socket(own, server, socket, quinn_runtime)
                .map_err(refused)?
        };
        quinn.set_default_client_config(client);
        let endpoint = Arc::new(Endpoint::new(config, fate, quinn, runtime));
        let accepting = Arc::clone(&endpoint);
        endpoint.spawn(door::attend(accepting));
        Ok(Arc::new(Self { endpoint, taken: Mutex::new(Lanes::new()), message: PhantomData }))
    }

    /// What strangers tried here so far, and what became of it.
    pub fn strangers(&self) -> Strangers {
        let misbehaved = &self.endpoint.counts.misbehaved;
        let misbehaved = misbehaved.each_ref().map(|count| count.load(Ordering::Relaxed));
        let flaws =
            self.endpoint.counts.flaws.each_ref().map(|count| count.load(Ordering::Relaxed));
        Strangers { misbehaved, flaws, ..self.endpoint.gate().seen() }
    }

    #[cfg(test)]
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// As if the process were killed: no packet leaves any more.
    #[cfg(test)]
    pub(crate) fn silence(&self) {
        let nowhere = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        self.endpoint.quinn.rebind(nowhere).expect("a socket");
        self.endpoint.quinn.set_server_config(None);
    }

    /// Runs a task on the endpoint's thread, where its timers are.
    async fn on_thread<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.endpoint.spawn(async move {
            // Nobody waits any more: the result is no news.
            drop(done.send(task.await));
        });
        result.await.ok()
    }

    fn link(&self, id: LinkId) -> Result<Arc<Link>, LinkError> {
        self.endpoint.link(id).ok_or(LinkError::Unknown(id))
    }
}

impl<M: DeserializeOwned> Quic<M> {
    /// What an entry is for the consumer; `None` if its link broke the rules.
    fn event(&self, entry: Entry) -> Option<Event<M>> {
        entry.leave();
        match entry {
            Entry::Up(link, peer, direction) => Some(Event::Up { link, peer, direction }),
            Entry::Writable(link, class) => Some(Event::Writable { link, class }),
            Entry::Down(link, reason) => {
                self.endpoint.release(link);
                Some(Event::Down { link, reason })
            }
            Entry::Message(link, _, _) if link.poisoned.load(Ordering::Relaxed) => None,
            Entry::Message(link, class, body) => {
                let counts = &self.endpoint.counts;
                counts.bytes_received.fetch_add(body.len() as u64, Ordering::Relaxed);
                let Ok(message) = wire::decode(&body) else {
                    link.poisoned.store(true, Ordering::Relaxed);
                    self.endpoint.punish(&link, Misbehaviour::Decode);
                    return None;
                };
                counts.received[class as usize].fetch_add(1, Ordering::Relaxed);
                Some(Event::Message { link: link.id, class, message })
            }
        }
    }
}

impl<M> fmt::Debug for Quic<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quic({} at {})", self.endpoint.me(), self.endpoint.config.listen)
    }
}

impl<M> Drop for Quic<M> {
    fn drop(&mut self) {
        self.endpoint.quinn.close(VarInt::from_u32(4), &[]);
        self.endpoint.abort();
    }
}

#[async_trait]
impl<M: Serialize + DeserializeOwned + Send + 'static> Transport<M> for Quic<M> {
    fn local(&self) -> Life {
        self.endpoint.me()
    }

    fn capabilities(&self) -> Capabilities {
        let [control, data, bulk] = self.endpoint.config.max_message;
        Capabilities { max_message: [control, data, bulk, DATAGRAM_MAX], shared_fate: false }
    }

    fn addresses(&self) -> Vec<Address> {
        let bound = self.endpoint.quinn.local_addr();
        bound.map(|bound| Address::new("quic", &bound.to_string())).into_iter().collect()
    }

    fn try_send(&self, link: LinkId, class: Class, message: M) -> Result<(), TrySendError<M>> {
        let sent = self.link(link).and_then(|link| {
            let mut out = link.out();
            link.open(&out)?;
            out.push(class, &message, &self.endpoint.config)
        });
        let counts = &self.endpoint.counts;
        match sent {
            Ok(queued) => {
                queued.writer.into_iter().for_each(Waker::wake);
                counts.sent[class as usize].fetch_add(1, Ordering::Relaxed);
                counts.bytes_sent.fetch_add(queued.size as u64, Ordering::Relaxed);
                self.endpoint.count_dropped(queued.dropped);
                Ok(())
            }
            Err(reason) => {
                counts.full.fetch_add(u64::from(reason == LinkError::Full), Ordering::Relaxed);
                Err(TrySendError { message, reason })
            }
        }
    }

    fn poll_ready(
        &self,
        link: LinkId,
        class: Class,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        let link = self.link(link)?;
        let mut out = link.out();
        link.open(&out)?;
        if out.has_room(class, &self.endpoint.config, cx.waker()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn poll_events(
        &self,
        cx: &mut Context<'_>,
        out: &mut Vec<Event<M>>,
        max: usize,
    ) -> Poll<Result<usize, Closed>> {
        if max == 0 {
            return Poll::Ready(Ok(0));
        }
        let start = out.len();
        let mut taken = hold(&self.taken);
        let mut entries = Vec::new();
        while out.len() == start {
            let closed =
                taken.take(&mut entries, max) == 0 && self.endpoint.swap(&mut taken, cx.waker());
            if closed {
                return Poll::Ready(Err(Closed));
            }
            if entries.is_empty() && taken.take(&mut entries, max) == 0 {
                taken.shrink();
                return Poll::Pending;
            }
            out.extend(entries.drain(..).filter_map(|entry| self.event(entry)));
        }
        Poll::Ready(Ok(out.len() - start))
    }

    async fn identify(&self, address: &Address) -> Result<PeerId, ConnectError> {
        if address.rest("quic").is_none() {
            return Err(ConnectError::NoAddress);
        }
        let identified = connect::identify(Arc::clone(&self.endpoint), address.clone());
        self.on_thread(identified).await.unwrap_or(Err(ConnectError::ShutDown))
    }

    async fn connect(&self, peer: PeerId, addresses: &[Address]) -> Result<LinkId, ConnectError> {
        let addresses: Vec<Address> =
            addresses.iter().filter(|address| address.rest("quic").is_some()).cloned().collect();
        let result = {
            let mut directory = self.endpoint.directory();
            if directory.left {
                return Err(ConnectError::ShutDown);
            }
            if peer == self.endpoint.me().peer {
                return Err(ConnectError::SelfDial);
            }
            if let Some(link) = directory.contact(peer).up {
                return Ok(link);
            }
            if addresses.is_empty() {
                return Err(ConnectError::NoAddress);
            }
            let (waiter, result) = oneshot::channel();
            if directory.await_link(peer, waiter) {
                let endpoint = Arc::clone(&self.endpoint);
                self.endpoint.spawn(connect::dial(endpoint, peer, addresses));
            }
            result
        };
        result.await.unwrap_or(Err(ConnectError::ShutDown))
    }

    async fn close(&self, link: LinkId, reason: CloseReason) {
        let Some(link) = self.endpoint.link(link) else { return };
        let flush = match reason {
            CloseReason::Misbehaved(_) => Duration::ZERO,
            _ => self.endpoint.config.close_flush,
        };
        let endpoint = Arc::clone(&self.endpoint);
        self.on_thread(connect::close(endpoint, vec![link], reason, flush)).await;
    }

    async fn renew(&self, incarnation: Incarnation) -> Result<(), RenewError> {
        self.endpoint.renew(incarnation)
    }

    async fn shutdown(&self, grace: Duration) {
        self.on_thread(connect::shutdown(Arc::clone(&self.endpoint), grace)).await;
        self.endpoint.close_inbox();
    }

    fn counters(&self) -> Counters {
        let counts = &self.endpoint.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut counters = Counters::default();
        counters.sent = counts.sent.each_ref().map(read);
        counters.received = counts.received.each_ref().map(read);
        counters.bytes_sent = read(&counts.bytes_sent);
        counters.bytes_received = read(&counts.bytes_received);
        counters.full = read(&counts.full);
        counters.dropped_unreliable = read(&counts.dropped);
        counters.misbehaved = counts.misbehaved.iter().map(read).sum();
        counters.links_up = read(&counts.links_up);
        counters.pulses = read(&counts.pulses);
        counters
    }
}
