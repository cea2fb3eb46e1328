//! One protocol's effects become another's inputs. Translations only: no decision is made here.

use formic_completion::{Effect as JobEffect, Event as JobEvent};
use formic_core::JobId;
use formic_mesh::Effect as MeshEffect;
use formic_work::{Effect as WorkEffect, Input as WorkInput, Place, TaskId};

use crate::{
    Effect, Event, Message, Node, Record, Reply,
    jobs::Submitter,
    step::{Origin, Step},
    trails::Ending,
};

impl Node {
    pub(crate) fn on_mesh(&mut self, effect: MeshEffect) {
        match effect {
            MeshEffect::Send { to, message } => self.send(to, Message::Mesh(message)),
            MeshEffect::Dial { peer, addresses } => {
                self.out.push(Effect::Dial { peer, addresses });
            }
            MeshEffect::Hangup { life } => self.out.push(Effect::Hangup { life }),
            MeshEffect::Discover => self.out.push(Effect::Discover),
            MeshEffect::Persist { addresses } => {
                self.out.push(Effect::Persist(Record::Addresses(addresses)));
            }
            MeshEffect::Event(event) => self.on_membership(event),
        }
    }

    pub(crate) fn on_work(&mut self, effect: WorkEffect) {
        match effect {
            WorkEffect::Send { to, message } => self.send(to, Message::Work(message)),
            WorkEffect::Choose { want } => {
                let lives = self.mesh.candidates(&want.requires);
                let missing = self.mesh.missing(&want.requires);
                let chosen = WorkInput::Chosen { want, lives, missing };
                self.steps.push_back(Step::Work(chosen));
            }
            WorkEffect::Draw { key, kind, eligible } => self.draw(key, kind, eligible),
            WorkEffect::Rank { .. } => self.rank(effect),
            WorkEffect::Estimate { .. } => self.promise(effect),
            WorkEffect::Placed { .. } => self.on_placed(effect),
            WorkEffect::Withdrawn { task: TaskId { key, .. }, attempt } => {
                let cancelled = formic_pheromones::Input::Cancelled { key, attempt };
                self.steps.push_back(Step::Trails(cancelled));
            }
            WorkEffect::Waits { task, attempt, life } => self.on_wait_told(task, attempt, life),
            WorkEffect::Start { task: TaskId { job, key }, attempt, descriptor, place } => {
                if descriptor.exclusive.is_some() && place == Place::Slot {
                    return self.start_exclusive(TaskId { job, key }, attempt, descriptor);
                }
                let (root, fence) = (place == Place::Outside, None);
                self.out.push(Effect::Event(Event::TaskStarted { job, key, attempt, fence }));
                self.out.push(Effect::Start { job, key, attempt, descriptor, fence, root });
            }
            WorkEffect::Resume { task } => {
                if !self.sit_down(task) && self.withheld.resumed(task) {
                    self.out.push(Effect::Resume { job: task.job, key: task.key });
                }
            }
            WorkEffect::Unplaceable { task: TaskId { job, key }, missing } => {
                self.out.push(Effect::Event(Event::TaskUnplaceable { job, key, missing }));
            }
            // Asked for when a spawn is to be acknowledged.
            WorkEffect::Full => {}
            WorkEffect::NotFull => {
                let (acknowledgements, wanting) = self.withheld.release();
                self.out.extend(acknowledgements);
                let runs = |task| Step::Work(WorkInput::Runs { task });
                self.steps.extend(wanting.into_iter().map(runs));
            }
        }
    }

    pub(crate) fn on_completion(&mut self, job: JobId, effect: JobEffect, origin: &Origin) {
        match effect {
            JobEffect::Persist(record) => {
                self.out.push(Effect::Persist(Record::Job { job, record }));
            }
            JobEffect::Send { to, message } => {
                self.send(to, Message::Completion { job, message });
            }
            JobEffect::Place { key, attempt, descriptor, avoid } => {
                let task = TaskId { job, key };
                self.trails.note(&descriptor.kind);
                let place = WorkInput::Place { task, attempt, descriptor, avoid };
                self.steps.push_back(Step::Work(place));
            }
            JobEffect::Unplace { key } => {
                let task = TaskId { job, key };
                self.steps.push_back(Step::Work(WorkInput::Unplace { task }));
            }
            JobEffect::Execute { key, attempt, descriptor, root } => {
                let owner = match origin {
                    Origin::Work { from, key: sent } if *sent == key => *from,
                    _ => self.me,
                };
                let place = if root { Place::Outside } else { Place::Slot };
                let task = TaskId { job, key };
                let queue = WorkInput::Queue { task, attempt, descriptor, owner, place };
                self.steps.push_back(Step::Work(queue));
            }
            JobEffect::Abort { key } => self.steps.push_back(Step::Abort(TaskId { job, key })),
            JobEffect::Sign { to, statement } => self.sign(job, to, statement),
            JobEffect::Event(event) => self.on_job_event(job, event, origin),
        }
    }

    fn on_job_event(&mut self, job: JobId, event: JobEvent, origin: &Origin) {
        let event = match event {
            JobEvent::Accepted => {
                self.on_accepted(job);
                return;
            }
            JobEvent::Spawned { owner, key } => {
                self.on_spawned(job, (owner, key), origin);
                return;
            }
            JobEvent::Succeeded { groups } => {
                self.on_succeeded(job, groups.clone());
                let generation = groups.len() as u64 - 1;
                let home = groups.into_iter().next_back().unwrap_or_default();
                Event::HomeChanged { job, generation, home }
            }
            JobEvent::Verdict(verdict) => {
                self.on_verdict(job, &verdict);
                Event::JobVerdict { job, verdict }
            }
            JobEvent::ChildDone { owner, key, by, outcome, slot, below } => {
                let task = TaskId { job, key };
                self.deposit(task, by, &Ending { outcome: &outcome, slot, below });
                self.steps.push_back(Step::Work(WorkInput::Unplace { task }));
                let word = outcome.word();
                if self.work.runs(TaskId { job, key: owner }) {
                    self.out.push(Effect::ChildDone { job, owner, key, by, outcome });
                }
                Event::TaskDone { job, owner, key, by, outcome: word }
            }
            JobEvent::Respawned { key, attempt, from } => {
                Event::TaskRespawned { job, key, attempt, from }
            }
            JobEvent::Divergent { key } => Event::TaskDivergent { job, key },
            JobEvent::Dropped { key } => Event::TaskDropped { job, key },
            JobEvent::TookOver { rank } => Event::HomeTookOver { job, rank },
            JobEvent::Complete { outcome, tally: _ } => Event::JobComplete { job, outcome },
            JobEvent::Anomaly { what } => Event::JobAnomaly { job, what },
        };
        self.out.push(Effect::Event(event));
    }

    fn on_accepted(&mut self, job: JobId) {
        let Some(entry) = self.jobs.get_mut(job) else { return };
        let (home, submitter) = (entry.home().to_vec(), entry.submitter.take());
        self.out.push(Effect::Event(Event::JobAccepted { job, home: home.clone() }));
        match submitter {
            Some(Submitter::Local { request }) => {
                self.out.push(Effect::Submitted { request, job });
            }
            Some(Submitter::Client { life, request }) => {
                self.send(life, Message::Reply(Reply::Accepted { request, job, home }));
            }
            None => {}
        }
    }
}
