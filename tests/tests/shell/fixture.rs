//! How each transport makes an end.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use formic::{Identity, Life, Message, transport::Transport};
use formic_identity::SecretKey;
use formic_memory::Hub;
use formic_quic::{Config, Quic};

/// One end of a transport.
pub(crate) type End = Arc<dyn Transport<Message>>;

type Made = Pin<Box<dyn Future<Output = End> + Send>>;

/// Makes an end for a key's life.
type Make = dyn Fn(&SecretKey, Life) -> Made + Send + Sync;

/// Makes ends that can reach each other.
pub(crate) struct Fixture {
    make: Box<Make>,
}

impl Fixture {
    /// An end for a peer's identity.
    pub(crate) async fn end(&self, identity: &Identity) -> End {
        (self.make)(identity.secret(), identity.life()).await
    }
}

pub(crate) fn memory() -> Fixture {
    let hub = Hub::<Message>::new();
    Fixture {
        make: Box::new(move |_, life| {
            let name = format!("{}-{}", life.peer.short(), life.incarnation.0);
            let end: End = hub.join(life, &name).unwrap();
            Box::pin(async move { end })
        }),
    }
}

pub(crate) fn quic() -> Fixture {
    Fixture {
        make: Box::new(|secret, life| {
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            let config = Config::new(listen, life, secret.clone());
            Box::pin(async move {
                let end: End = Quic::<Message>::bind(config).await.unwrap();
                end
            })
        }),
    }
}

/// A hang is a failure; the limit is far above what any case needs.
pub(crate) async fn watched(case: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(120), case).await.unwrap();
}
