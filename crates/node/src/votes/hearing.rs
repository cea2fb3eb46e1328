//! What other members say about electorates.

use std::{collections::VecDeque, sync::Arc};

use formic_consensus::{Input as VoteInput, InstanceId, Message as VoteMessage, Misbehaviour};
use formic_core::{Life, PeerId};
use serde_bytes::ByteBuf;

use super::{
    ASKERS_MAX, CASES_MAX, CourtId, EARLY_MAX, Open, Say, Votes,
    case::{Case, Decision, electorate},
    court::instance_of,
    keys,
};
use crate::{Message, Node, step::Step};

impl Node {
    pub(crate) fn on_votes(&mut self, from: Life, votes: Votes) {
        let id = (votes.job, votes.electorate);
        // What is over is not decided again: a vote would be one too many.
        if self.is_over(votes.job) {
            return;
        }
        let known = self.courts.courts.contains_key(&id);
        match votes.say {
            Say::Case(case) => self.on_case(from, id, case),
            Say::Voters(voters, spkis) => self.on_voters(from, id, &voters, &spkis),
            Say::Who => self.on_who(from, id),
            Say::What(instance) => self.on_what(from, id, instance),
            Say::Decided(decision) => self.on_told(from, id, *decision),
            say @ Say::Vote(..) if !known => {
                let (job, electorate) = id;
                let is_first = !self.courts.has_strays(id);
                self.courts.stray(from, Votes { job, electorate, say });
                if is_first {
                    self.say(from, id, Say::Who);
                }
            }
            Say::Vote(spki, message) => self.on_vote(from, id, &spki, *message),
        }
    }

    fn say(&mut self, to: Life, (job, electorate): CourtId, say: Say) {
        self.send(to, Message::Votes(Box::new(Votes { job, electorate, say })));
    }

    fn on_case(&mut self, from: Life, id: CourtId, case: Arc<Case>) {
        let Some(mesh) = self.mesh.mesh() else { return };
        let electorate = match case.check(mesh, id.0) {
            Ok(electorate) if electorate.digest() == id.1 => electorate,
            Ok(_) => return self.misbehaved(from.peer, "a case of another electorate".to_owned()),
            Err(error) => return self.misbehaved(from.peer, format!("a bad case: {error}")),
        };
        let instance = case.proposal().instance(&electorate);
        let votes = electorate.rank(self.me.peer).is_some();
        if !votes || !self.open_court(id, mesh, electorate) {
            return;
        }
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        let has_vote = court.electorate().rank(from.peer).is_some();
        let is_new = !court.cases.contains_key(&instance);
        if is_new && court.cases.len() >= CASES_MAX {
            return self.count_votes_dropped();
        }
        let open = court.cases.entry(instance).or_insert_with(|| Open::new(case));
        if !has_vote && open.askers.len() < ASKERS_MAX {
            open.askers.insert(from);
        }
        let machine = court.machine.as_ref();
        let decided = machine.is_some_and(|machine| machine.decided(instance).is_some());
        // A voter that asks opens the question itself.
        let takes = !has_vote || decided || court.unjudged.contains(&instance);
        if is_new {
            self.write_case(id, instance);
        }
        if takes {
            self.take_case(id, instance);
        }
        self.replay(id);
    }

    /// What came before this electorate was known.
    fn replay(&mut self, id: CourtId) {
        for (from, stray) in self.courts.strays_of(id) {
            self.on_votes(from, stray);
        }
    }

    fn on_voters(&mut self, from: Life, id: CourtId, voters: &[PeerId], spkis: &[ByteBuf]) {
        let Some(mesh) = self.mesh.mesh() else { return };
        let electorate = match electorate(mesh, id.0, voters) {
            Ok(electorate) if electorate.digest() == id.1 => electorate,
            _ => return self.misbehaved(from.peer, "other voters than their digest".to_owned()),
        };
        let votes = electorate.rank(self.me.peer).is_some();
        let known = self.courts.courts.contains_key(&id);
        if !(known || votes && self.open_court(id, mesh, electorate)) {
            drop(self.courts.strays_of(id));
            return;
        }
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        for spki in spkis.iter().take(voters.len()) {
            let key = keys::voting_key(keys::IDENTITY, spki);
            if let Some(peer) = key.map(|key| key.peer_id()) {
                court.learn(peer, spki);
            }
        }
        let early = core::mem::take(&mut court.early);
        for (from, message) in early {
            self.check_vote(from, id, message);
        }
        self.replay(id);
    }

    fn on_who(&mut self, from: Life, id: CourtId) {
        let Some(court) = self.courts.courts.get(&id) else { return };
        let spkis = court.spkis.values().map(|spki| ByteBuf::from(spki.clone())).collect();
        let voters = court.voters.clone();
        self.say(from, id, Say::Voters(voters, spkis));
    }

    fn on_what(&mut self, from: Life, id: CourtId, instance: InstanceId) {
        let court = self.courts.courts.get(&id);
        let open = court.and_then(|court| court.cases.get(&instance));
        if let Some(case) = open.map(|open| Arc::clone(&open.case)) {
            self.say(from, id, Say::Case(case));
        }
    }

    /// A voter says that it is decided. The signatures are the proof, whoever brings it.
    fn on_told(&mut self, from: Life, id: CourtId, decision: Decision) {
        let judgement = match decision.check(Some(id.1)) {
            Ok(judgement) => judgement,
            Err(error) => return self.misbehaved(from.peer, format!("a bad decision: {error}")),
        };
        let instance = judgement.instance();
        if decision.job == id.0 {
            self.have_decision(id, instance, decision);
        }
    }

    fn on_vote(&mut self, from: Life, id: CourtId, spki: &[u8], message: VoteMessage) {
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        if court.machine.is_none() {
            return;
        }
        let before = court.spkis.len();
        if !court.learn(from.peer, spki) {
            let what = "a voter's message without a vote, or under another key".to_owned();
            return self.misbehaved(from.peer, what);
        }
        // Its key may be what others' messages waited for.
        let is_news = court.spkis.len() > before;
        let early = if is_news { core::mem::take(&mut court.early) } else { VecDeque::new() };
        for (from, message) in early.into_iter().chain([(from, message)]) {
            self.check_vote(from, id, message);
        }
    }

    fn check_vote(&mut self, from: Life, id: CourtId, message: VoteMessage) {
        let now = self.now;
        let Some(court) = self.courts.courts.get_mut(&id) else { return };
        let instance = instance_of(&message, court.electorate());
        match court.roster.check_known(message.clone(), &mut court.known) {
            Ok(message) => {
                let misses = !court.cases.contains_key(&instance) && court.asks(instance, now);
                let input = VoteInput::Message { from: from.peer, message: Box::new(message) };
                self.steps.push_back(Step::Votes(id, input));
                if misses {
                    self.say(from, id, Say::What(instance));
                }
            }
            Err(Misbehaviour::NoKey { .. }) => {
                if court.early.len() >= EARLY_MAX {
                    court.early.pop_front();
                }
                court.early.push_back((from, message));
                if court.asks(InstanceId(id.1), now) {
                    self.say(from, id, Say::Who);
                }
            }
            Err(error) => self.misbehaved(from.peer, format!("as a voter: {error}")),
        }
    }
}
