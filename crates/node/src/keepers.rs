//! Who keeps the exclusive tasks of a job: its home groups, as far as this peer knows them.
//!
//! Home peers know them with the job. Who has an exclusive task of a job that it knows nothing of asks
//! (`WhoKeeps`). So does a keeper that is asked for what it kept before a group that it never heard of: its later
//! life is of no group that would tell it. And so does a peer that is asked about a job it never heard of: it may
//! have been chosen for the first group while it was cut off, and whether it knows *nothing* decides where most of
//! the others are gone. That answer is the truth if its disk reaches back to the life that was chosen
//! ([`Record::Since`]); else it may have forgotten, and answers nobody.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use formic_completion::SUCCESSIONS_MAX;
use formic_core::{Digest, Epoch, FateId, Incarnation, JobId, Life, Member, Time, View};
use formic_register::claims::{
    Input as ClaimsInput, Message as ClaimsMessage, Record as ClaimsRecord,
};

use crate::{Ended, Message, Node, Record, step::Step};

/// How often it is asked who keeps the tasks of a job: a round trip of a slow wide-area link.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(250);

/// Jobs asked about because somebody else asked, and jobs answered for that are not known otherwise. A job that
/// is dropped is asked about again.
const FOREIGN_MAX: usize = 1_024;

/// What is known about keepers, beyond the home groups of the jobs that this peer takes part in.
#[derive(Clone, Debug)]
pub(crate) struct Keepers {
    /// From this life of this peer on all that was promised is remembered.
    since: Incarnation,
    /// Jobs of whose home group this peer is, by what others say, and whose records it may have lost.
    forgotten: BTreeSet<JobId>,
    /// When it is asked again who keeps the tasks of a job.
    pub(crate) asks_at: Option<Time>,
    /// When this peer asked last who does, because it was asked itself.
    asked: BTreeMap<JobId, Time>,
    /// The groups of jobs that were given to others before this peer heard of them. What it says about these is
    /// that it knows nothing, and it is of no group that could be told anything: no record is needed.
    foreign: BTreeMap<JobId, Vec<Vec<Life>>>,
    /// What earlier lives promised as keepers of jobs that this life was not told of yet. They may have kept a job's
    /// claims without its home record: who learnt from others that it is of the group does.
    pub(crate) promised: BTreeMap<JobId, Vec<ClaimsRecord<Ended>>>,
}

impl Keepers {
    pub(crate) const fn new(me: Life) -> Self {
        Self {
            since: me.incarnation,
            forgotten: BTreeSet::new(),
            asks_at: None,
            asked: BTreeMap::new(),
            foreign: BTreeMap::new(),
            promised: BTreeMap::new(),
        }
    }

    /// The disk that this life restores was there in that life already.
    pub(crate) fn restore(&mut self, since: Incarnation) {
        self.since = self.since.min(since);
    }

    /// What is to be written down before anything is promised.
    pub(crate) const fn record(&self) -> Record {
        Record::Since(self.since)
    }

    pub(crate) fn has_forgotten(&self, job: JobId) -> bool {
        self.forgotten.contains(&job)
    }

    /// Nothing is known of the job from now on, though something was.
    pub(crate) fn forget(&mut self, me: Life, job: JobId) {
        self.since = me.incarnation.next();
        self.forgotten.remove(&job);
        self.asked.remove(&job);
        self.foreign.remove(&job);
    }

    /// Whether it is time to ask about this job; then it counts as asked.
    fn asks(&mut self, job: JobId, now: Time) -> bool {
        let is_recent = |at: &Time| *at + ASK_EVERY > now;
        if self.asked.get(&job).is_some_and(is_recent) {
            return false;
        }
        if self.asked.len() >= FOREIGN_MAX {
            self.asked.retain(|_, at| is_recent(at));
        }
        if self.asked.len() >= FOREIGN_MAX {
            return false;
        }
        self.asked.insert(job, now);
        true
    }

    /// Returns the job that is dropped for it.
    fn learn(&mut self, job: JobId, groups: Vec<Vec<Life>>) -> Option<JobId> {
        self.foreign.insert(job, groups);
        let is_full = self.foreign.len() > FOREIGN_MAX;
        let other = self.foreign.keys().find(|other| **other != job).copied();
        let dropped = other.filter(|_| is_full)?;
        self.foreign.remove(&dropped);
        Some(dropped)
    }
}

/// What the machine of claims calls the peers that keep them, one view per home group: rank decides who
/// leads where two are.
pub(crate) fn views(job: JobId, groups: &[Vec<Life>]) -> impl Iterator<Item = Arc<View>> {
    let view = move |(generation, home): (u64, &Vec<Life>)| {
        let members = (0_u64..).zip(home);
        let members = members.map(|(rank, life)| Member { life: *life, fate: FateId(rank) });
        let (epoch, members) = (Epoch(job.born().0 + generation), members.collect());
        Arc::new(View { epoch, members, previous: Digest::of(&[]), forced: None })
    };
    (0_u64..).zip(groups).map(view)
}

/// Whether these may be the home groups of a job.
fn are_groups(groups: &[Vec<Life>]) -> bool {
    let is_group = |home: &Vec<Life>| {
        let peers: BTreeSet<_> = home.iter().map(|life| life.peer).collect();
        peers.len() == home.len() && matches!(home.len(), 1 | 2 | 3 | 5 | 7)
    };
    (1..=SUCCESSIONS_MAX + 1).contains(&groups.len()) && groups.iter().all(is_group)
}

impl Node {
    /// The home groups of the job, if they are known here.
    pub(crate) fn groups(&self, job: JobId) -> Option<&[Vec<Life>]> {
        let own = self.jobs.get(job).map(|entry| &entry.homes).filter(|homes| !homes.is_empty());
        own.or_else(|| self.exclusive.keepers.foreign.get(&job)).map(Vec::as_slice)
    }

    /// Either of the two may know later groups of the job.
    pub(crate) fn compare_groups(&mut self, from: Life, message: &ClaimsMessage<Ended>) {
        let job = message.job();
        let known = self.groups(job).map_or(0, <[_]>::len) as u64;
        // What it asks is kept by others since.
        if message.asked().is_some_and(|asked| asked.0 + 1 < job.born().0 + known) {
            self.tell_keepers(from, job);
        }
        let is_later = message.pulled().is_some_and(|epoch| epoch.0 >= job.born().0 + known);
        if is_later && self.exclusive.keepers.asks(job, self.now) {
            self.send(from, Message::WhoKeeps { job });
        }
    }

    pub(crate) fn tell_keepers(&mut self, to: Life, job: JobId) {
        if let Some(groups) = self.groups(job).map(<[_]>::to_vec) {
            self.send(to, Message::Keepers { job, groups });
        }
    }

    pub(crate) fn on_keepers(&mut self, from: Life, job: JobId, groups: Vec<Vec<Life>>) {
        if !are_groups(&groups) {
            self.misbehaved(from.peer, format!("{} home groups of a job", groups.len()));
            return;
        }
        let of_me = |life: &&Life| life.peer == self.me.peer;
        let first = groups.iter().flatten().find(of_me).copied();
        // This very life may be of the group, and the job on its way to it.
        let before = first.filter(|first| *first != self.me);
        let lost = before.is_some_and(|life| life.incarnation < self.exclusive.keepers.since);
        // Unasked answers say nothing; a home peer hears of later groups from its own.
        match self.groups(job) {
            Some(known) => {
                let inside = known.last().is_some_and(|home| home.contains(&self.me));
                if inside || !groups.starts_with(known) || groups == known {
                    return;
                }
            }
            None if self.jobs.get(job).is_some() => {
                let keepers = &mut self.exclusive.keepers;
                if keepers.asks_at.is_none() && !keepers.asked.contains_key(&job) {
                    return;
                }
                if lost {
                    keepers.forgotten.insert(job);
                }
            }
            None => {
                let is_asked = self.exclusive.keepers.asked.contains_key(&job);
                if is_asked && !lost && before.is_some() {
                    self.answer_for(job, groups);
                }
                return;
            }
        }
        self.on_succeeded(job, groups);
        self.steps.push_back(Step::AskForClaims);
    }

    /// This peer was chosen to keep the tasks of a job, and was given none of them before others were chosen.
    fn answer_for(&mut self, job: JobId, groups: Vec<Vec<Life>>) {
        let is_mine = |home: &Vec<Life>| home.iter().any(|life| life.peer == self.me.peer);
        // A group that may still be told something is told by the home peers, with the job.
        if groups.last().is_some_and(is_mine) {
            return;
        }
        self.begin_claims(job, &groups, None);
        if let Some(dropped) = self.exclusive.keepers.learn(job, groups) {
            self.exclusive.drop_claims(dropped, &mut self.out);
        }
    }

    /// Other peers keep the claims of the job's tasks from now on.
    pub(crate) fn on_succeeded(&mut self, job: JobId, groups: Vec<Vec<Life>>) {
        let known = self.groups(job).map_or(0, <[_]>::len);
        if known >= groups.len() {
            return;
        }
        let foreign = self.exclusive.keepers.foreign.get_mut(&job);
        let Some(homes) = self.jobs.get_mut(job).map(|entry| &mut entry.homes).or(foreign) else {
            return;
        };
        homes.clone_from(&groups);
        if self.exclusive.keeps(job) {
            let later = views(job, &groups).skip(known);
            self.steps.extend(later.map(|view| Step::Claims(job, ClaimsInput::View(view))));
        } else if groups.iter().flatten().any(|life| *life == self.me) && !self.is_over(job) {
            // Which tasks nobody claimed yet is asked while those are there who know it.
            self.begin_claims(job, &groups, None);
        }
    }
}
