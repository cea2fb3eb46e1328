//! The actor libraries, each with the mailbox it recommends: kameo's bounded to the same size, ractor's unbounded.

use core::convert::Infallible;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use formic_benches::pairs::{Round, Timer};
use kameo::{
    actor::{ActorRef, PreparedActor},
    mailbox,
    message::{Context, Message},
};
use tokio::{runtime::Runtime, sync::Notify, task::JoinSet};

use crate::mesh::{BOUND, Body, PEERS, body};

/// How many messages are still to come, at all actors together.
struct Left {
    count: AtomicU64,
    none: Notify,
}

impl Left {
    fn new(count: u64) -> Arc<Self> {
        Arc::new(Self { count: AtomicU64::new(count), none: Notify::new() })
    }

    fn less(&self, by: u64) {
        if self.count.fetch_sub(by, Ordering::AcqRel) == by {
            self.none.notify_one();
        }
    }
}

/// What one actor counts before it tells the others.
struct Sink {
    left: Arc<Left>,
    got: u64,
    expected: u64,
}

impl Sink {
    fn count(&mut self) {
        self.got += 1;
        if self.got == self.expected {
            self.left.less(self.expected);
        }
    }
}

impl kameo::Actor for Sink {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

impl Message<Body<64>> for Sink {
    type Reply = ();

    async fn handle(&mut self, message: Body<64>, _: &mut Context<Self, ()>) {
        drop(message);
        self.count();
    }
}

struct Ractor;

impl ractor::Actor for Ractor {
    type Msg = Body<64>;
    type State = Sink;
    type Arguments = Sink;

    async fn pre_start(
        &self,
        _: ractor::ActorRef<Body<64>>,
        sink: Sink,
    ) -> Result<Sink, ractor::ActorProcessingErr> {
        Ok(sink)
    }

    async fn handle(
        &self,
        _: ractor::ActorRef<Body<64>>,
        message: Body<64>,
        sink: &mut Sink,
    ) -> Result<(), ractor::ActorProcessingErr> {
        drop(message);
        sink.count();
        Ok(())
    }
}

const OTHERS: u64 = PEERS as u64 - 1;

pub(crate) fn kameo(runtime: &Runtime, each: u64) -> Round {
    let total = each * PEERS as u64 * OTHERS;
    let left = Left::new(total);
    runtime.block_on(async move {
        let spawn = |_| {
            let prepared = PreparedActor::new(mailbox::bounded(BOUND));
            let actor = prepared.actor_ref().clone();
            drop(prepared.spawn(Sink { left: Arc::clone(&left), got: 0, expected: each * OTHERS }));
            actor
        };
        let actors: Vec<ActorRef<Sink>> = (0..PEERS).map(spawn).collect();
        let mut tasks = JoinSet::new();
        let timer = Timer::start();
        for me in 0..PEERS {
            let actors = actors.clone();
            tasks.spawn(async move {
                for _ in 0..each {
                    for (peer, actor) in actors.iter().enumerate() {
                        if peer != me {
                            assert!(actor.tell(body::<64>()).send().await.is_ok(), "it lives");
                        }
                    }
                }
            });
        }
        left.none.notified().await;
        let round = timer.stop(total);
        tasks.join_all().await;
        actors.iter().for_each(ActorRef::kill);
        round
    })
}

pub(crate) fn ractor(runtime: &Runtime, each: u64) -> Round {
    let total = each * PEERS as u64 * OTHERS;
    let left = Left::new(total);
    runtime.block_on(async move {
        let mut actors = Vec::new();
        for _ in 0..PEERS {
            let sink = Sink { left: Arc::clone(&left), got: 0, expected: each * OTHERS };
            match ractor::Actor::spawn(None, Ractor, sink).await {
                Ok((actor, _)) => actors.push(actor),
                Err(error) => unreachable!("an actor without a name always starts: {error}"),
            }
        }
        let mut tasks = JoinSet::new();
        let timer = Timer::start();
        for me in 0..PEERS {
            let actors = actors.clone();
            tasks.spawn(async move {
                for _ in 0..each {
                    for (peer, actor) in actors.iter().enumerate() {
                        if peer != me {
                            assert!(actor.cast(body::<64>()).is_ok(), "it lives");
                        }
                    }
                    // Nothing holds a sender back: without this one fills all memory.
                    tokio::task::yield_now().await;
                }
            });
        }
        left.none.notified().await;
        let round = timer.stop(total);
        tasks.join_all().await;
        actors.iter().for_each(|actor| actor.kill());
        round
    })
}
