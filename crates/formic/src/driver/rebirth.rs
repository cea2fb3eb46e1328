//! The peer's next life in the same process.

use formic_core::{Incarnation, Life, transport::Address};
use formic_node::{Input, Node};

use super::{Driver, Membership, Stopped};
use crate::{LogEvent, StoreError};

/// Addresses the next life is given to find its way back: enough that somebody answers, few enough for one round.
const CONTACTS_MAX: usize = 64;

impl Driver {
    /// Goes on as the next life: the mesh has declared this one dead while it was out of touch.
    ///
    /// Bodies of the old life are stopped, its links end, and a new node begins with what the old one had persisted.
    /// Handles, waiters for jobs and the log stay.
    pub(super) async fn reborn(&mut self, incarnation: Incarnation) -> Result<(), StoreError> {
        let (old, contacts) = (self.me, self.contacts());
        // Durable first: no message may come from a life that a crash would forget.
        let next = self.journal.begin_next_life().await?;
        assert_eq!(next, incarnation, "{old} is told to go on as another life than its next one");
        let records = self.journal.records().await?;
        if self.wire.renew(incarnation).await.is_err() {
            self.stopped = Some(Stopped::Transport);
            return Ok(());
        }
        self.me = Life::new(old.peer, incarnation);
        self.bodies.renew(self.me);
        self.refusals.clear();
        self.membership.send_replace(Membership::Asking);
        self.lives.send_replace(self.me);
        self.config.life = self.me;
        // It belongs to the mesh that its members are in; it must not found another one.
        self.config.mesh.found = None;
        self.config.resume(&records);
        self.config.mesh.seeds = contacts;
        self.node = Node::new(self.config.clone())
            .expect("only the life and the seeds are others than at the start");
        self.write(LogEvent::PeerReborn { was: old.to_string() });
        // What the user asked for is asked of the new life; everything else was about the old one.
        self.inputs.retain(|input| {
            matches!(input, Input::Submit { .. } | Input::Cancel { .. } | Input::Leave)
        });
        let asked = core::mem::take(&mut self.inputs);
        self.jobs.on_reborn(&asked);
        self.restore(records);
        self.inputs.extend(asked);
        Ok(())
    }

    /// Where the next life may find the mesh: members, those that seem alive first, then where this life looked.
    fn contacts(&self) -> Vec<Address> {
        let status = self.node.status();
        let others = status.members.iter().filter(|member| member.life.peer != self.me.peer);
        let (alive, doubtful): (Vec<_>, Vec<_>) =
            others.partition(|member| member.state == "alive");
        let members = alive.into_iter().chain(doubtful).flat_map(|member| &member.addresses);
        let mut contacts: Vec<Address> = Vec::new();
        for address in members.chain(&self.config.mesh.seeds) {
            if contacts.len() < CONTACTS_MAX && !contacts.contains(address) {
                contacts.push(address.clone());
            }
        }
        contacts
    }
}
