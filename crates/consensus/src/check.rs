//! Messages from outside: nothing unproved gets past here (consensus.md section 7).

use std::collections::BTreeMap;

use crate::{
    Body, Certificate, Electorate, Evidence, InstanceId, Known, Message, Misbehaviour, Propose,
    PublicKey, Rank, SEAL_MAX, Seal, Signed, Statement, Submission, Vote,
    message::CERTIFICATES_MAX,
};

/// A message whose every signature was checked: [`Roster::check`] is the only way to one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verified(Message);

impl Verified {
    /// What was checked.
    pub const fn message(&self) -> &Message {
        &self.0
    }

    pub(crate) fn into_message(self) -> Message {
        self.0
    }
}

/// An electorate with its members' public voting keys: all that checking needs. Pure: any thread may.
#[derive(Clone, Debug)]
pub struct Roster<K> {
    electorate: Electorate,
    keys: BTreeMap<Rank, K>,
}

impl<K: PublicKey> Roster<K> {
    /// The keys in the order of the members. `None` if there are more or fewer keys than members.
    /// Whoever calls has compared each key's hash with the one that the electorate lists.
    pub fn new(electorate: Electorate, keys: Vec<K>) -> Option<Self> {
        let all = keys.len() == electorate.len();
        let keys = electorate.ranks().zip(keys).collect();
        all.then_some(Self { electorate, keys })
    }

    /// The keys of some members: what others signed is refused with [`Misbehaviour::NoKey`].
    /// Whoever calls has compared each key's hash with the one that the electorate lists.
    pub fn of_some(electorate: Electorate, keys: Vec<(Rank, K)>) -> Self {
        Self { electorate, keys: keys.into_iter().collect() }
    }

    /// One more key, compared with the listed hash as in [`Roster::of_some`].
    pub fn learn(&mut self, rank: Rank, key: K) {
        self.keys.insert(rank, key);
    }

    /// Whether this member's key is known.
    pub fn knows(&self, rank: Rank) -> bool {
        self.keys.contains_key(&rank)
    }

    /// The electorate.
    pub const fn electorate(&self) -> &Electorate {
        &self.electorate
    }

    /// Checks shape and signatures of a message.
    ///
    /// # Errors
    /// [`Misbehaviour`]: what no honest peer sends. Nothing changes anywhere.
    pub fn check(&self, message: Message) -> Result<Verified, Misbehaviour> {
        self.check_known(message, &mut Known::new(0))
    }

    /// As [`Roster::check`], without checking a second time what is `known` to be good. The result is the same.
    ///
    /// # Errors
    /// [`Misbehaviour`]: what no honest peer sends. Nothing changes anywhere.
    pub fn check_known(
        &self,
        message: Message,
        known: &mut Known,
    ) -> Result<Verified, Misbehaviour> {
        match &message {
            Message::Submission(submission) => self.submission(submission, known).map(drop)?,
            Message::Ballot(pair) => {
                let (submission, signed) = &**pair;
                if self.submission(submission, known)? != signed.instance {
                    return Err(Misbehaviour::WrongInstance);
                }
                self.is(signed, known, |statement| matches!(statement, Statement::Ballot(_)))?;
            }
            Message::Statement(signed) => self.is(signed, known, |statement| {
                matches!(statement, Statement::Timeout | Statement::Vote(_))
            })?,
            Message::Propose(propose) => self.propose(propose, known)?,
            Message::Certificate(certificate) => self.quorum(certificate, known)?,
            Message::Evidence(evidence) => self.evidence(evidence, known).map(drop)?,
            Message::Want(_, rounds) if rounds.len() > CERTIFICATES_MAX => {
                return Err(Misbehaviour::TooMany { found: rounds.len(), max: CERTIFICATES_MAX });
            }
            Message::Want(..) => {}
        }
        Ok(Verified(message))
    }

    /// Checks that a quorum of members signed a vote, each once.
    ///
    /// # Errors
    /// [`Misbehaviour`]: too few, unsorted or doubled signers, a non-member, a bad signature.
    pub fn certificate(&self, certificate: &Certificate) -> Result<(), Misbehaviour> {
        self.quorum(certificate, &mut Known::new(0))
    }

    /// Remembers a signature that was made here: it needs no check when it comes back.
    pub fn own(&self, signed: &Signed, known: &mut Known) {
        let bytes = signed.statement.bytes(&self.electorate, signed.instance, signed.rank);
        known.learn(Known::name(&bytes, &signed.seal));
    }

    fn quorum(&self, certificate: &Certificate, known: &mut Known) -> Result<(), Misbehaviour> {
        let Certificate { instance, vote, seals } = certificate;
        let quorum = self.electorate.quorum();
        if seals.len() < quorum {
            return Err(Misbehaviour::NoQuorum { found: seals.len(), quorum });
        }
        if vote.round() == 0 {
            return Err(Misbehaviour::RoundZero);
        }
        self.sorted(seals.iter().map(|(rank, _)| *rank))?;
        let statement = Statement::Vote(*vote);
        let seal =
            |(rank, seal): &(Rank, Seal)| self.seal((*instance, *rank), &statement, seal, known);
        seals.iter().try_for_each(seal)
    }

    fn submission(
        &self,
        submission: &Submission,
        known: &mut Known,
    ) -> Result<InstanceId, Misbehaviour> {
        let Submission { proposal, proposer, seal } = submission;
        proposal.check(&self.electorate).map_err(Misbehaviour::Proposal)?;
        let instance = proposal.instance(&self.electorate);
        self.seal((instance, *proposer), &Statement::Submit, seal, known)?;
        Ok(instance)
    }

    fn is(
        &self,
        signed: &Signed,
        known: &mut Known,
        kind: impl Fn(&Statement) -> bool,
    ) -> Result<(), Misbehaviour> {
        if !kind(&signed.statement) {
            return Err(Misbehaviour::WrongKind);
        }
        self.signed(signed, known)
    }

    fn signed(&self, signed: &Signed, known: &mut Known) -> Result<(), Misbehaviour> {
        match &signed.statement {
            Statement::Ballot(ballot) if !ballot.is_lawful() => return Err(Misbehaviour::Score),
            Statement::Vote(vote) if vote.round() == 0 => return Err(Misbehaviour::RoundZero),
            _ => {}
        }
        self.seal((signed.instance, signed.rank), &signed.statement, &signed.seal, known)
    }

    fn propose(&self, propose: &Propose, known: &mut Known) -> Result<(), Misbehaviour> {
        let Propose { vote, body, certificates } = propose;
        let Statement::Vote(Vote::Notarize(round, value)) = vote.statement else {
            return Err(Misbehaviour::WrongKind);
        };
        if certificates.len() > CERTIFICATES_MAX {
            let found = certificates.len();
            return Err(Misbehaviour::TooMany { found, max: CERTIFICATES_MAX });
        }
        if leader(&self.electorate, vote.instance, round) != vote.rank {
            return Err(Misbehaviour::NotLeader { round });
        }
        if certificates.iter().any(|certificate| certificate.instance != vote.instance) {
            return Err(Misbehaviour::WrongInstance);
        }
        self.signed(vote, known)?;
        if let Some(body) = body {
            // V2: shape and hash first, they are cheaper than signatures.
            self.sorted(body.ballots.iter().map(|(rank, ..)| *rank))?;
            self.sorted(body.evidence.iter().map(|evidence| evidence.one.rank))?;
            self.sorted(body.timeouts.iter().map(|(rank, _)| *rank))?;
            if body.value(value.outcome, &self.electorate, vote.instance) != value {
                return Err(Misbehaviour::WrongRoot);
            }
            self.body(vote.instance, body, known)?;
        }
        certificates.iter().try_for_each(|certificate| self.quorum(certificate, known))
    }

    fn body(
        &self,
        instance: InstanceId,
        body: &Body,
        known: &mut Known,
    ) -> Result<(), Misbehaviour> {
        for (rank, ballot, seal) in &body.ballots {
            if !ballot.is_lawful() {
                return Err(Misbehaviour::Score);
            }
            self.seal((instance, *rank), &Statement::Ballot(*ballot), seal, known)?;
        }
        for evidence in &body.evidence {
            if self.evidence(evidence, known)? != instance {
                return Err(Misbehaviour::WrongInstance);
            }
        }
        let timeout = Statement::Timeout;
        let seal =
            |(rank, seal): &(Rank, Seal)| self.seal((instance, *rank), &timeout, seal, known);
        body.timeouts.iter().try_for_each(seal)
    }

    fn evidence(&self, evidence: &Evidence, known: &mut Known) -> Result<InstanceId, Misbehaviour> {
        let Evidence { one, two } = evidence;
        let same = one.rank == two.rank && one.instance == two.instance;
        if !same || !one.statement.contradicts(&two.statement) {
            return Err(Misbehaviour::NoContradiction);
        }
        self.signed(one, known)?;
        self.signed(two, known)?;
        Ok(one.instance)
    }

    fn sorted(&self, ranks: impl Iterator<Item = Rank>) -> Result<(), Misbehaviour> {
        let mut last = None;
        for rank in ranks {
            if Some(rank) <= last {
                return Err(Misbehaviour::Unsorted { rank });
            }
            if rank.index() >= self.electorate.len() {
                return Err(Misbehaviour::NotMember { rank });
            }
            last = Some(rank);
        }
        Ok(())
    }

    fn seal(
        &self,
        (instance, rank): (InstanceId, Rank),
        statement: &Statement,
        seal: &Seal,
        known: &mut Known,
    ) -> Result<(), Misbehaviour> {
        if rank.index() >= self.electorate.len() {
            return Err(Misbehaviour::NotMember { rank });
        }
        let key = self.keys.get(&rank).ok_or(Misbehaviour::NoKey { rank })?;
        let bytes = statement.bytes(&self.electorate, instance, rank);
        if seal.0.len() > SEAL_MAX {
            return Err(Misbehaviour::Seal { rank });
        }
        let name = Known::name(&bytes, seal);
        if known.holds(&name) {
            return Ok(());
        }
        if !key.verify(&bytes, &seal.0) {
            return Err(Misbehaviour::Seal { rank });
        }
        known.learn(name);
        Ok(())
    }
}

/// Who leads a round: members in turn, from a place that the instance's id gives.
pub fn leader(electorate: &Electorate, instance: InstanceId, round: u64) -> Rank {
    let mut first = [0; 8];
    first.copy_from_slice(&instance.0.as_bytes()[..8]);
    let voters = electorate.len() as u64;
    let turn = (u64::from_be_bytes(first) % voters + (round.max(1) - 1) % voters) % voters;
    Rank(u16::try_from(turn).unwrap_or(0))
}

/// Everybody whom these certificates of one instance prove to have lied, once each, ascending
/// (accountability, section 6): with f + 1 or more liars a fork is possible, and then this finds at least
/// `n - 2f` of them.
pub fn accuse(certificates: &[Certificate]) -> Vec<Evidence> {
    let mut found = BTreeMap::new();
    let signed = |certificate: &Certificate, at: usize| Signed {
        instance: certificate.instance,
        rank: certificate.seals[at].0,
        statement: Statement::Vote(certificate.vote),
        seal: certificate.seals[at].1.clone(),
    };
    for (index, one) in certificates.iter().enumerate() {
        for two in &certificates[index + 1..] {
            let contradiction = Statement::Vote(one.vote).contradicts(&Statement::Vote(two.vote));
            if one.instance != two.instance || !contradiction {
                continue;
            }
            let both = one.seals.iter().enumerate().filter_map(|(at, (rank, _))| {
                let other = two.seals.iter().position(|(signer, _)| signer == rank)?;
                Some((*rank, Evidence { one: signed(one, at), two: signed(two, other) }))
            });
            for (rank, evidence) in both {
                found.entry(rank).or_insert(evidence);
            }
        }
    }
    found.into_values().collect()
}
