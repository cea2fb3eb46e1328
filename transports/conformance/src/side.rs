use core::{
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::collections::BTreeMap;

use formic_core::{
    Life, PeerId,
    transport::{Breach, Class, CloseReason, ConnectError, Contract, Event, LinkError, LinkId},
};

use crate::{End, Fixture, Probe};

/// Nothing here takes this long on any machine; what waits longer hangs.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Events taken at once.
const BATCH: usize = 256;
/// So long after a quarrel nothing more comes.
const QUIET: Duration = Duration::from_millis(100);

/// What a transport does wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A promise that holds in every case.
    #[error("{by} breaks the contract")]
    Contract {
        /// At which end.
        by: Life,
        /// Which.
        #[source]
        breach: Box<Breach>,
    },
    /// What the case demands.
    #[error("{what}")]
    Case {
        /// What was found instead.
        what: String,
    },
    /// A minute passed.
    #[error("nothing happens at {at} for a minute while it waits for {what}")]
    Hangs {
        /// At which end.
        at: Life,
        /// What was waited for.
        what: &'static str,
    },
}

impl Failure {
    /// `Ok` if `holds`.
    ///
    /// # Errors
    /// With what was found, if it does not.
    #[expect(clippy::fn_params_excessive_bools, reason = "it reads like an assertion")]
    pub fn unless(holds: bool, what: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Case { what: what() }) }
    }
}

/// An end with its contract, and all that it reported.
pub struct Side {
    end: End,
    contract: Contract,
    sent: BTreeMap<(LinkId, Class), u64>,
    /// All events so far.
    pub log: Vec<Event<Probe>>,
}

impl core::fmt::Debug for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Side({}, {} events)", self.end.local(), self.log.len())
    }
}

impl Side {
    /// The side of a life.
    pub async fn of(fixture: &dyn Fixture, peer: u8, incarnation: u64) -> Self {
        let end = fixture.end(peer, incarnation).await;
        Self { end, contract: Contract::new(), sent: BTreeMap::new(), log: vec![] }
    }

    /// Two sides with one link, as both know it. Both have reported it.
    ///
    /// # Errors
    /// They cannot be linked.
    pub async fn pair(fixture: &dyn Fixture) -> Result<([Self; 2], [LinkId; 2]), Failure> {
        let (mut a, mut b) = (Self::of(fixture, 1, 1).await, Self::of(fixture, 2, 1).await);
        let links = a.link(&mut b).await?;
        Ok(([a, b], links))
    }

    /// The transport's end.
    pub const fn end(&self) -> &End {
        &self.end
    }

    /// Who it is.
    pub fn life(&self) -> Life {
        self.end.local()
    }

    /// Dials another side.
    ///
    /// # Errors
    /// As the transport says.
    pub async fn dial(&self, peer: PeerId, to: &Self) -> Result<LinkId, ConnectError> {
        self.end.connect(peer, &to.end.addresses()).await
    }

    /// Links both sides and waits until both report it.
    ///
    /// # Errors
    /// They cannot be linked, or know different lives.
    pub async fn link(&mut self, other: &mut Self) -> Result<[LinkId; 2], Failure> {
        let dialed = self.dial(other.life().peer, other).await;
        let mine = dialed.map_err(|why| Failure::Case { what: format!("no link: {why}") })?;
        let (me, them) = (self.life(), other.life());
        let told = self.until_up(them).await?;
        Failure::unless(told == mine, || format!("{mine:?} was dialled, {told:?} is up"))?;
        Ok([mine, other.until_up(me).await?])
    }

    /// Links both sides once more, after an earlier link of theirs went down.
    ///
    /// # Errors
    /// As [`link`](Self::link).
    pub async fn link_again(&mut self, other: &mut Self) -> Result<[LinkId; 2], Failure> {
        let (mine, theirs) = (self.log.len(), other.log.len());
        let (me, them) = (self.life(), other.life());
        let dialed = self.dial(them.peer, other).await;
        dialed.map_err(|why| Failure::Case { what: format!("no second link: {why}") })?;
        Ok([self.up_since(mine, them).await?, other.up_since(theirs, me).await?])
    }

    async fn up_since(&mut self, from: usize, life: Life) -> Result<LinkId, Failure> {
        loop {
            let up = self.log.iter().skip(from).find_map(|event| match event {
                Event::Up { link, peer, .. } if *peer == life => Some(*link),
                _ => None,
            });
            if let Some(link) = up {
                return Ok(link);
            }
            self.some("a second link to come up").await?;
        }
    }

    /// Waits for the link to a life.
    ///
    /// # Errors
    /// It does not come.
    pub async fn until_up(&mut self, life: Life) -> Result<LinkId, Failure> {
        let of_life = |event: &Event<Probe>| match event {
            Event::Up { link, peer, .. } if *peer == life => Some(*link),
            _ => None,
        };
        self.until("a link to come up", of_life).await
    }

    /// Waits for the end of a link.
    ///
    /// # Errors
    /// It does not come.
    pub async fn until_down(&mut self, of: LinkId) -> Result<CloseReason, Failure> {
        let down = |event: &Event<Probe>| match event {
            Event::Down { link, reason } if *link == of => Some(*reason),
            _ => None,
        };
        self.until("a link to go down", down).await
    }

    /// Waits until so many messages of a class have come over a link.
    ///
    /// # Errors
    /// They do not.
    pub async fn until_received(
        &mut self,
        link: LinkId,
        class: Class,
        count: u64,
    ) -> Result<(), Failure> {
        while self.contract.received(link, class) < count {
            self.some("messages").await?;
        }
        Ok(())
    }

    /// How many messages of a reliable class have come over a link that is up.
    pub fn received(&self, link: LinkId, class: Class) -> u64 {
        self.contract.received(link, class)
    }

    /// The first event, of all so far and to come, of which `pick` makes something.
    ///
    /// # Errors
    /// None comes.
    pub async fn until<T>(
        &mut self,
        what: &'static str,
        pick: impl Fn(&Event<Probe>) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut from = 0;
        loop {
            if let Some(found) = self.log.iter().skip(from).find_map(&pick) {
                return Ok(found);
            }
            from = self.log.len();
            self.some(what).await?;
        }
    }

    /// Takes at least one event.
    ///
    /// # Errors
    /// None comes, the transport is closed, or an event breaks the contract.
    pub async fn some(&mut self, what: &'static str) -> Result<(), Failure> {
        let mut events = Vec::new();
        let polled = poll_fn(|cx| self.end.poll_events(cx, &mut events, BATCH));
        let polled = tokio::time::timeout(WATCHDOG, polled).await;
        let hangs = |_| Failure::Hangs { at: self.end.local(), what };
        let closed =
            |_| Failure::Case { what: format!("it is shut down while it waits for {what}") };
        let count = polled.map_err(hangs)?.map_err(closed)?;
        Failure::unless(count == events.len() && count > 0, || {
            format!("{} events are called {count}", events.len())
        })?;
        self.take(events)
    }

    /// Takes what comes until nothing has come for a while.
    ///
    /// # Errors
    /// An event breaks the contract.
    pub async fn settle(&mut self) -> Result<(), Failure> {
        loop {
            let mut events = Vec::new();
            let polled = poll_fn(|cx| self.end.poll_events(cx, &mut events, BATCH));
            match tokio::time::timeout(QUIET, polled).await {
                Ok(Ok(_)) => self.take(events)?,
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
        }
    }

    fn take(&mut self, events: Vec<Event<Probe>>) -> Result<(), Failure> {
        for event in events {
            let by = self.end.local();
            let checked = self.contract.event(&event, |probe| probe.number);
            checked.map_err(|breach| Failure::Contract { by, breach: Box::new(breach) })?;
            self.log.push(event);
        }
        Ok(())
    }

    /// Sends the next message of a class; `false` if the link is full.
    ///
    /// # Errors
    /// It is refused for another reason, or comes back changed.
    pub fn try_send(&mut self, link: LinkId, class: Class, size: usize) -> Result<bool, Failure> {
        let number = self.sent.entry((link, class)).or_default();
        let probe = Probe { number: *number, body: vec![0x5a; size] };
        let Err(refused) = self.end.try_send(link, class, probe.clone()) else {
            *number += 1;
            self.contract.accepted(link, class);
            return Ok(true);
        };
        Failure::unless(refused.message == probe, || {
            format!("message {} of {class:?} came back changed", probe.number)
        })?;
        Failure::unless(refused.reason == LinkError::Full, || {
            format!("{class:?} message of {size} bytes: {}", refused.reason)
        })?;
        self.contract.full(link, class);
        Ok(false)
    }

    /// Sends the next message of a class as soon as there is room.
    ///
    /// # Errors
    /// It is refused for another reason than a full queue.
    pub async fn send(&mut self, link: LinkId, class: Class, size: usize) -> Result<(), Failure> {
        while !self.try_send(link, class, size)? {
            let ready = poll_fn(|cx| self.end.poll_ready(link, class, cx));
            let ready = tokio::time::timeout(WATCHDOG, ready).await;
            ready.map_err(|_| Failure::Hangs { at: self.end.local(), what: "room" })?.map_err(
                |why| Failure::Case { what: format!("no room for {class:?}, ever: {why}") },
            )?;
        }
        Ok(())
    }

    /// Sends until the link takes no more for a while; how many it took.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), or it never fills.
    pub async fn fill(&mut self, link: LinkId, class: Class, size: usize) -> Result<u64, Failure> {
        let (mut taken, mut refused) = (0, 0);
        while refused < 50 {
            if self.try_send(link, class, size)? {
                (taken, refused) = (taken + 1, 0);
                let what = || format!("{taken} messages of {size} bytes wait at nobody");
                Failure::unless(taken < 1_000_000, what)?;
            } else {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(taken)
    }

    /// Whether there is room for a smallest message, as this waker is told.
    ///
    /// # Errors
    /// The link takes none any more.
    pub fn is_ready(&self, link: LinkId, class: Class, waker: &Waker) -> Result<bool, Failure> {
        match self.end.poll_ready(link, class, &mut Context::from_waker(waker)) {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(why)) => Err(Failure::Case { what: format!("never ready: {why}") }),
            Poll::Pending => Ok(false),
        }
    }

    /// How many messages were accepted for a link and class.
    pub fn accepted(&self, link: LinkId, class: Class) -> u64 {
        self.sent.get(&(link, class)).copied().unwrap_or_default()
    }
}
