//! Chaos: a network that is cut, at the socket, so that everything above sees what it would see.

use core::{
    pin::Pin,
    task::{Context, Poll},
};
use std::{
    collections::BTreeSet,
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// Addresses that an endpoint cannot reach and is not reached from: its packets to and from them are
/// dropped without a word. Empty at first. Clones share one set.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    addresses: Arc<RwLock<BTreeSet<SocketAddr>>>,
}

impl Cut {
    /// Nobody is cut off.
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on exactly these addresses are cut off.
    pub fn set(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let set = addresses.into_iter().collect();
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = set;
    }

    fn drops(&self, address: SocketAddr) -> bool {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    pub(crate) fn around(self, socket: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(CutSocket { cut: self, socket })
    }
}

#[derive(Debug)]
struct CutSocket {
    cut: Cut,
    socket: Arc<dyn AsyncUdpSocket>,
}

impl AsyncUdpSocket for CutSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.cut.drops(transmit.destination) {
            return Ok(());
        }
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = received {
            for one in meta.iter_mut().take(count).filter(|one| self.cut.drops(one.addr)) {
                // Nothing of it is looked at.
                one.len = 0;
            }
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
