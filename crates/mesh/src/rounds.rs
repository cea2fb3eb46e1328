//! Finding others, again and again (mesh.md 2).

use core::time::Duration;

use formic_core::{Life, PeerId, Sink, Time, transport::Address};

use crate::{
    Effect, Error, Event, Mesh, Message, PEERS_MAX, Standing,
    mesh::{Place, Quorum},
};

/// The first pause before a lost or failed link is dialled again.
pub(crate) const FIRST_REDIAL: Duration = Duration::from_millis(100);
/// After this a dial that the driver never answered is repeated.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Without a majority everything is tried this often.
const HURRY: Duration = Duration::from_secs(1);
/// How long others may answer before the rendezvous is asked.
const RENDEZVOUS_AFTER: Duration = Duration::from_secs(2);
/// How often outside sources are asked although nothing is missing.
pub(crate) const DISCOVER_GAP: Duration = Duration::from_secs(300);
/// Unlinked seeds that a member tries in a round.
const SEEDS_TRIED: usize = 2;
/// Hints that are dialled in a round by one that wants in.
const HINTS_DIALLED: usize = 32;
/// Addresses per peer in an answer to `Who`: 32 peers fit into a Control message.
const ADDRESSES_TOLD: usize = 4;

impl Mesh {
    pub(crate) fn start(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        self.search.hurry(now);
        if let Some(mesh) = self.config.found
            && self.view.is_none()
        {
            self.place = Place::Founding;
            out.push(Effect::Event(Event::Founded { mesh }));
        }
        if self.links.is_empty() {
            self.search.rendezvous_at = Some(now + RENDEZVOUS_AFTER);
        }
    }

    /// Whether this peer knocks wherever it can: it has somewhere to look.
    pub(crate) fn wants_in(&self) -> bool {
        let is_out = matches!(self.place, Place::Outside | Place::Returning);
        let looks = self.has_foreign_seeds()
            || !self.config.rendezvous.is_empty()
            || self.search.hints().next().is_some()
            || self.config.rejoin.is_some()
            || self.view.is_some();
        is_out && looks && self.config.found.is_none_or(|_| self.view.is_some())
    }

    pub(crate) fn foreign_seeds(&self) -> impl Iterator<Item = &Address> {
        self.config.seeds.iter().filter(|seed| !self.config.addresses.contains(seed))
    }

    fn has_foreign_seeds(&self) -> bool {
        self.foreign_seeds().next().is_some()
    }

    /// The next round is now: something was lost.
    pub(crate) fn look_around(&mut self, now: Time) {
        self.search.hurry(now);
        if self.links.is_empty() {
            self.search.rendezvous_at = Some(now + RENDEZVOUS_AFTER);
        }
    }

    pub(crate) fn search_on(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if self.search.rendezvous_at.is_some_and(|at| at <= now) {
            self.search.rendezvous_at = None;
            self.dial_rendezvous(out);
        }
        if self.search.round_at.is_some_and(|at| at <= now) {
            match self.place {
                Place::Member => self.round_inside(now, out),
                Place::Outside | Place::Returning | Place::Evicted | Place::Founding => {
                    self.round_outside(now, out);
                }
            }
        }
        if self.search.persists_now(now) {
            self.persist(now, out);
        }
    }

    fn dial_rendezvous(&self, out: &mut impl Sink<Effect>) {
        for address in &self.config.rendezvous {
            if !self.config.addresses.contains(address) {
                out.push(Effect::Dial { peer: None, addresses: vec![address.clone()] });
            }
        }
    }

    fn round_outside(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if self.place == Place::Founding {
            self.search.round_at = None; // Its first view starts the next round.
            return;
        }
        self.search.asked.clear();
        out.push(Effect::Discover);
        let places: Vec<Address> = self.foreign_seeds().cloned().collect();
        let hints = self.unlinked(self.search.hints().cloned().collect());
        let hints = self.some_of(hints, HINTS_DIALLED);
        for address in places.into_iter().chain(hints) {
            out.push(Effect::Dial { peer: None, addresses: vec![address] });
        }
        for (peer, addresses) in self.search.all_stored() {
            if *peer != self.me.peer && !self.links.contains_key(peer) && !addresses.is_empty() {
                out.push(Effect::Dial { peer: Some(*peer), addresses: addresses.clone() });
            }
        }
        if self.links.is_empty() && self.search.rendezvous_at.is_none() {
            self.dial_rendezvous(out);
        }
        if self.wants_in() {
            let linked: Vec<Life> = self.links.values().copied().collect();
            linked.into_iter().for_each(|life| self.knock(now, life, out));
            if self.place == Place::Returning {
                let fate = self.config.fate;
                let member = formic_core::Member { life: self.me, fate };
                out.push(Effect::Event(Event::Admit { member }));
            }
        }
        let pace = match self.quorum {
            Quorum::Held => (self.config.first_retry, self.config.retry_max),
            Quorum::Lost => (HURRY, HURRY),
        };
        self.search.back_off(now, pace, &mut self.random);
    }

    fn round_inside(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        let linked = self.members_linked().count();
        let is_short = linked + 1 < self.size() || self.quorum == Quorum::Lost;
        if is_short || self.search.discover_at <= now {
            self.search.discover_at = now + DISCOVER_GAP;
            out.push(Effect::Discover);
        }
        let mut places: Vec<Address> = self.foreign_seeds().cloned().collect();
        places.extend(self.search.hints().cloned());
        let places = self.unlinked(places);
        for address in self.some_of(places, SEEDS_TRIED) {
            out.push(Effect::Dial { peer: None, addresses: vec![address] });
        }
        let unlinked: Vec<Life> = self.roster.iter().map(|entry| entry.life).collect();
        for life in unlinked {
            if self.roster.of(life).is_some_and(|entry| entry.dial_at.is_none()) {
                self.redial(now, life, Duration::ZERO);
            }
        }
        let (first, max) = (self.config.first_retry, self.config.retry_max);
        match (self.quorum, is_short) {
            (Quorum::Lost, _) => self.search.rest(now, HURRY, &mut self.random),
            (Quorum::Held, true) => self.search.back_off(now, (first, max), &mut self.random),
            (Quorum::Held, false) => self.search.rest(now, max, &mut self.random),
        }
    }

    /// Those at which no linked member is known to be.
    fn unlinked(&self, mut places: Vec<Address>) -> Vec<Address> {
        let records = self.members_linked().filter_map(|life| self.member(life));
        let taken: Vec<&Address> = records.flat_map(|record| &record.addresses).collect();
        places.retain(|place| !taken.contains(&place));
        places
    }

    fn some_of(&mut self, mut places: Vec<Address>, count: usize) -> Vec<Address> {
        while places.len() > count {
            let index = self.random.below(places.len() as u64);
            places.swap_remove(usize::try_from(index).unwrap_or(0));
        }
        places
    }

    pub(crate) fn on_found(&mut self, addresses: Vec<Address>, out: &mut impl Sink<Effect>) {
        let own = |address: &Address| self.config.addresses.contains(address);
        let seeds = |address: &Address| self.config.seeds.contains(address);
        let hints: Vec<Address> = addresses
            .into_iter()
            .filter(|address| !own(address) && !seeds(address))
            .take(crate::search::HINTS_MAX)
            .collect();
        let news: Vec<Address> =
            hints.into_iter().filter(|address| self.search.hint(address.clone())).collect();
        if self.place != Place::Member {
            let news = self.unlinked(news);
            for address in self.some_of(news, HINTS_DIALLED) {
                out.push(Effect::Dial { peer: None, addresses: vec![address] });
            }
        }
    }

    pub(crate) fn on_who(&mut self, now: Time, from: Life, max: u8, out: &mut impl Sink<Effect>) {
        if self.door.count(now, from.peer).is_err() {
            return; // Asked too often: the answer was given.
        }
        let told = |life: Life, addresses: &Vec<Address>| {
            (life.peer, addresses.iter().take(ADDRESSES_TOLD).cloned().collect::<Vec<_>>())
        };
        let known = self.roster.iter().filter(|entry| entry.life.peer != from.peer);
        let here = known.filter(|entry| {
            matches!(entry.standing, Standing::Fresh | Standing::Alive) && entry.record.is_some()
        });
        let mut peers: Vec<(PeerId, Vec<Address>)> = here
            .filter_map(|entry| Some(told(entry.life, &entry.record.as_ref()?.addresses)))
            .filter(|(_, addresses)| !addresses.is_empty())
            .collect();
        while peers.len() > usize::from(max).min(PEERS_MAX) {
            let index = self.random.below(peers.len() as u64);
            peers.swap_remove(usize::try_from(index).unwrap_or(0));
        }
        out.push(Effect::Send { to: from, message: Message::Peers { peers } });
    }

    pub(crate) fn on_peers(
        &mut self,
        from: Life,
        peers: Vec<(PeerId, Vec<Address>)>,
        out: &mut impl Sink<Effect>,
    ) -> Result<(), Error> {
        let is_long = |(_, addresses): &(_, Vec<Address>)| addresses.len() > ADDRESSES_TOLD;
        if peers.len() > PEERS_MAX || peers.iter().any(is_long) {
            return Err(Error::SyncRules { from, rule: "at most 32 peers with 4 addresses" });
        }
        // An answer may come over a new link to a question that the old one brought: nobody's fault.
        if !self.search.asked.contains(&from.peer) || self.place == Place::Member {
            return Ok(());
        }
        for (peer, mut addresses) in peers {
            addresses.retain(|address| !self.config.addresses.contains(address));
            let is_known = peer == self.me.peer || self.links.contains_key(&peer);
            if !is_known && !addresses.is_empty() {
                out.push(Effect::Dial { peer: Some(peer), addresses });
            }
        }
        Ok(())
    }

    pub(crate) fn knock(&mut self, now: Time, to: Life, out: &mut impl Sink<Effect>) {
        self.join.knocks(to, now + self.config.knock_timeout);
        self.send_knock(to, out);
    }

    pub(crate) fn knock_again(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        let overdue = self.join.overdue(now, self.config.knock_timeout);
        if self.wants_in() {
            overdue.into_iter().for_each(|life| self.send_knock(life, out));
        }
    }

    fn send_knock(&self, to: Life, out: &mut impl Sink<Effect>) {
        let Some(own) = self.own() else { return };
        let (mesh, fate, record) = (self.mesh, self.config.fate, Box::new(own.clone()));
        out.push(Effect::Send { to, message: Message::Knock { mesh, fate, record } });
    }

    /// Of two peers the smaller dials at once, the larger after a grace.
    pub(crate) fn redial(&mut self, now: Time, life: Life, least: Duration) {
        let smaller = self.me.peer < life.peer;
        let grace = if smaller { Duration::ZERO } else { self.config.grace };
        let has_addresses = !self.addresses_of(&life.peer).is_empty();
        let is_linked = self.links.get(&life.peer) == Some(&life);
        if let Some(entry) = self.roster.of_mut(life)
            && life != self.me
            && entry.standing != Standing::Left
        {
            entry.dial_at = (has_addresses && !is_linked).then_some(now + grace.max(least));
        }
    }

    /// Without a majority no member is waited for.
    pub(crate) fn redial_all(&mut self, now: Time) {
        let lives: Vec<Life> = self.roster.iter().map(|entry| entry.life).collect();
        for life in lives {
            self.redial(now, life, Duration::ZERO);
        }
    }

    /// Where a peer can be reached: as it says, else as it was durable.
    pub(crate) fn addresses_of(&self, peer: &PeerId) -> Vec<Address> {
        let record = self.roster.get(peer).and_then(|entry| entry.record.as_ref());
        let said = record.map(|record| &record.addresses).filter(|it| !it.is_empty());
        said.or_else(|| self.search.stored(peer)).cloned().unwrap_or_default()
    }

    pub(crate) fn on_dial_failed(&mut self, now: Time, peer: PeerId) {
        let max = match self.quorum {
            Quorum::Held => self.config.retry_max,
            Quorum::Lost => HURRY,
        };
        if let Some(entry) = self.roster.get_mut(&peer)
            && entry.dial_at.is_some()
        {
            // 0.1 s, 0.2 s, 0.4 s, ... up to `retry_max`.
            let pause = FIRST_REDIAL * 2_u32.saturating_pow(entry.failed.min(16));
            entry.failed = entry.failed.saturating_add(1);
            entry.dial_at = Some(now + pause.min(max));
        }
    }

    pub(crate) fn next_dial(&self) -> Option<Time> {
        match self.place {
            Place::Member | Place::Returning => self.roster.next_dial(),
            Place::Outside | Place::Founding | Place::Evicted => None,
        }
    }

    pub(crate) fn dial_members(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        if self.next_dial().is_none_or(|at| at > now) {
            return;
        }
        // Without an answer from the driver: a lost dial is repeated.
        let timeout = if self.quorum == Quorum::Lost { HURRY } else { DIAL_TIMEOUT };
        let mut due = Vec::new();
        for entry in self.roster.iter_mut() {
            if entry.dial_at.is_some_and(|at| at <= now) {
                entry.dial_at = Some(now + timeout);
                due.push(entry.life.peer);
            }
        }
        for peer in due {
            let addresses = self.addresses_of(&peer);
            if !addresses.is_empty() {
                out.push(Effect::Dial { peer: Some(peer), addresses });
            }
        }
    }

    /// What a restart needs to find the members again.
    fn persist(&mut self, now: Time, out: &mut impl Sink<Effect>) {
        let others = self.roster.iter().map(|entry| entry.life.peer);
        let others = others.filter(|peer| *peer != self.me.peer);
        let known = others.map(|peer| (peer, self.addresses_of(&peer)));
        let list: Vec<(PeerId, Vec<Address>)> = known.filter(|(_, it)| !it.is_empty()).collect();
        if self.search.persist(now, &list) {
            out.push(Effect::Persist { addresses: list });
        }
    }
}
