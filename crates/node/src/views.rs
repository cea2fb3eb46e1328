//! What healing and mesh say about life, views and the majority, for everybody else. Translations only.

use std::sync::Arc;

use formic_completion::Input as JobInput;
use formic_core::{JobId, Life};
use formic_healing::{
    Busy, Effect as HealingEffect, Event as Verdict, Input as HealingInput, Standing,
};
use formic_mesh::{Event as Membership, Input as MeshInput, Refusal};
use formic_work::Input as WorkInput;

use crate::{Effect, Event, Message, Node, Record, Reply, step::Step};

impl Node {
    pub(crate) fn on_membership(&mut self, event: Membership) {
        let roster_changed = Step::Work(WorkInput::RosterChanged);
        let event = match event {
            Membership::Founded { .. } => {
                self.steps.push_back(Step::Healing(HealingInput::Found));
                return;
            }
            Membership::Admit { member } => {
                self.steps.push_back(Step::Healing(HealingInput::Admit(member)));
                return;
            }
            Membership::Kin { life } => {
                self.steps.push_back(Step::Healing(HealingInput::Kin { life }));
                return;
            }
            Membership::Welcomed { view } => {
                self.steps.push_back(Step::Healing(HealingInput::Joined(view)));
                return;
            }
            Membership::Forgotten { .. } => {
                self.steps.push_back(roster_changed);
                return;
            }
            Membership::Added { life } | Membership::Changed { life } => {
                self.introduce(life);
                self.steps.push_back(roster_changed);
                return;
            }
            Membership::Left { life } => {
                self.steps.push_back(Step::Healing(HealingInput::Left { life }));
                return;
            }
            Membership::Joined { mesh, members } => {
                self.out.push(Effect::Persist(Record::Mesh(mesh)));
                self.out.push(Effect::Persist(self.exclusive.keepers.record()));
                Event::Joined { mesh, members }
            }
            // The mesh took this life in and held it for dead before it knew.
            Membership::Refused { reason: Refusal::StaleLife { .. }, .. } if !self.is_leaving() => {
                self.out.push(Effect::Reborn { incarnation: self.me.incarnation.next() });
                return;
            }
            Membership::Refused { by, reason } => {
                Event::JoinRefused { reason: format!("{by} refused: {reason}") }
            }
            Membership::CapabilitiesChanged { life, added, removed } => {
                Event::CapabilitiesChanged { life, added, removed }
            }
            Membership::RecordChanged { life, slot } => Event::RecordChanged { life, slot },
            Membership::Delivered { cast } => Event::Cast(cast),
            Membership::Gap { origin, stream, from, to } => {
                Event::CastGap { origin, stream, lost: (from, to) }
            }
            Membership::CastWritable { stream } => Event::CastWritable { stream },
            Membership::Health { status } => Event::Health { status },
        };
        self.out.push(Effect::Event(event));
    }

    /// A member that is up is reported once its name and capabilities are known.
    fn introduce(&mut self, life: Life) {
        if !self.unnamed.contains(&life) {
            return;
        }
        let Some(record) = self.mesh.member(life) else { return };
        let (name, capabilities) = (record.name.clone(), record.capabilities.clone());
        self.unnamed.remove(&life);
        self.out.push(Effect::Event(Event::PeerUp { life, name, capabilities }));
    }

    pub(crate) fn on_healing(&mut self, effect: HealingEffect) {
        match effect {
            HealingEffect::Persist(record) => {
                self.out.push(Effect::Persist(Record::View(record)));
            }
            HealingEffect::Send { to, message } => self.send(to, Message::Healing(message)),
            HealingEffect::Event(event) => self.on_verdict_event(event),
        }
    }

    fn on_verdict_event(&mut self, event: Verdict) {
        self.published.news = true;
        let event = match event {
            Verdict::Up { life } => return self.on_up(life),
            Verdict::Down { life, cause, standing: _ } => {
                // Who was never introduced is not taken leave of.
                let was_introduced = !self.unnamed.contains(&life);
                self.on_down(life);
                if !was_introduced {
                    return;
                }
                Event::PeerDown { life, reason: cause.word() }
            }
            Verdict::Suspect { life } => {
                self.steps.push_back(Step::Mesh(MeshInput::Suspect { life }));
                self.steps.push_back(Step::Work(WorkInput::RosterChanged));
                Event::PeerSuspect { life }
            }
            Verdict::Cleared { life } => {
                self.steps.push_back(Step::Mesh(MeshInput::Cleared { life }));
                self.steps.push_back(Step::Work(WorkInput::RosterChanged));
                return;
            }
            Verdict::Paused { life, until: _ } => {
                self.steps.push_back(Step::Mesh(MeshInput::Paused { life }));
                return;
            }
            Verdict::Resumed { life } => {
                self.steps.push_back(Step::Mesh(MeshInput::Resumed { life }));
                return;
            }
            Verdict::View { view } => {
                self.steps.push_back(Step::Mesh(MeshInput::View { view: view.clone() }));
                self.on_view(&view);
                Event::ViewCommitted { view }
            }
            Verdict::EvictedSelf { next, .. } => {
                if !self.is_leaving() {
                    self.out.push(Effect::Reborn { incarnation: next });
                }
                return;
            }
            Verdict::Quorum(standing) => self.on_quorum(standing),
            Verdict::Loss { lives } => Event::Loss { lives },
            Verdict::PauseGranted { span } => Event::PauseGranted { span },
            Verdict::PauseRefused { reason } => Event::PauseRefused { reason },
            Verdict::ForceRefused { reason } => return self.on_force_refused(&reason.to_string()),
            Verdict::Fork { ours, theirs } => Event::Fork { ours, theirs },
        };
        self.out.push(Effect::Event(event));
    }

    fn on_up(&mut self, life: Life) {
        self.steps.push_back(Step::Mesh(MeshInput::Up { life }));
        for job in self.jobs.ids() {
            self.steps.push_back(Step::completion(job, JobInput::Up { life }));
        }
        self.invite(life);
        self.tell_courts(&formic_consensus::Input::Up(life));
        self.steps.push_back(Step::Work(WorkInput::RosterChanged));
        self.unnamed.insert(life);
        self.introduce(life);
    }

    fn on_down(&mut self, life: Life) {
        self.unnamed.remove(&life);
        self.steps.push_back(Step::Mesh(MeshInput::Down { life }));
        self.steps.push_back(Step::Work(WorkInput::Down { life }));
        self.steps.push_back(Step::Trails(formic_pheromones::Input::Down { life }));
        self.tell_courts(&formic_consensus::Input::Down(life));
        for job in self.jobs.ids() {
            self.steps.push_back(Step::completion(job, JobInput::Down { life }));
        }
    }

    fn on_quorum(&mut self, standing: Standing) -> Event {
        let held = standing == Standing::Held;
        self.steps.push_back(Step::Mesh(MeshInput::Quorum { held }));
        self.steps.push_back(Step::AskForClaims);
        for job in self.jobs.ids() {
            self.steps.push_back(Step::completion(job, JobInput::Quorum { held }));
        }
        if held { Event::QuorumHeld } else { Event::QuorumLost }
    }

    /// Home groups follow the view.
    pub(crate) fn tell_view(&mut self, jobs: &[JobId]) {
        let Some(view) = self.healing.view() else { return };
        let lives: Arc<[Life]> = view.lives().collect();
        for job in jobs {
            let members = JobInput::Members { lives: Arc::clone(&lives) };
            self.steps.push_back(Step::completion(*job, members));
        }
    }

    /// An operator who forced this view hears that it is there.
    fn on_view(&mut self, view: &Arc<formic_core::View>) {
        let open = self.jobs.iter().filter(|(_, entry)| !entry.completion.is_closed());
        let open: Vec<JobId> = open.map(|(job, _)| job).collect();
        self.tell_view(&open);
        self.steps.push_back(Step::Trails(formic_pheromones::Input::View((**view).clone())));
        if view.forced.is_some()
            && let Some(client) = self.operator.take()
        {
            self.send(client, Message::Reply(Reply::Forced { view: view.clone() }));
        }
    }

    fn on_force_refused(&mut self, reason: &str) {
        let reason = reason.to_owned();
        if let Some(client) = self.operator.take() {
            self.send(client, Message::Reply(Reply::ForceRefused { reason }));
        } else {
            self.out.push(Effect::Event(Event::ForceRefused { reason }));
        }
    }

    /// What other protocols should know about this peer, as far as it changed with the last input.
    pub(crate) fn publish(&mut self) {
        let busy = if self.is_busy() { Busy::Yes } else { Busy::No };
        if core::mem::replace(&mut self.published.busy, busy) != busy {
            self.steps.push_back(Step::Healing(HealingInput::Busy(busy)));
        }
        let load = self.load();
        if self.published.load != load {
            self.published.load = load;
            self.steps.push_back(Step::Mesh(MeshInput::SetLoad { load }));
        }
        if core::mem::take(&mut self.published.news) {
            let margin = self.healing.margin().and_then(|margin| u32::try_from(margin).ok());
            let margin = margin.unwrap_or(0);
            self.steps.push_back(Step::Mesh(MeshInput::Margin { margin }));
        }
    }

    /// This peer holds something that others wait for.
    fn is_busy(&self) -> bool {
        self.work.is_running() || self.jobs.any_open()
    }

    pub(crate) fn load(&self) -> formic_mesh::Load {
        let load = self.work.load();
        let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let activity = if self.is_leaving() {
            formic_mesh::Activity::Draining
        } else {
            formic_mesh::Activity::Taking
        };
        formic_mesh::Load {
            queued: load.queued,
            running: small(load.running),
            slots: small(load.slots),
            activity,
        }
    }
}

/// What was last said about this peer to its own protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    busy: Busy,
    load: formic_mesh::Load,
    /// healing said something: the margin may have changed.
    news: bool,
}

impl Default for Published {
    fn default() -> Self {
        Self { busy: Busy::Yes, load: formic_mesh::Load::default(), news: false }
    }
}
