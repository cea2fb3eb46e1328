//! Adversaries as wrappers (consensus.md section 13): each runs the shipped machine and changes what it says.

use formic_consensus::{
    Body, Certificate, Electorate, Message, Outcome, Propose, Rank, Reason, Seal, Signed,
    Statement, Verdict, Vote,
};

use super::keys::Key;
use crate::Draw;

/// How a voter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Leads with two different values.
    EquivocatingLeader,
    /// Casts another ballot at every second voter.
    DoubleBallot,
    /// Nullifies what it finalizes.
    NullifyFinalize,
    /// Adds statements in the name of others.
    Forge,
    /// Repeats old messages, its own and others'.
    Replay,
    /// Never proposes when it leads.
    Withhold,
    /// Says nothing to half of the voters.
    Selective,
    /// Proposes `Expired`, and keeps its ballot back.
    Censor,
    /// Sends certificates with doubled, foreign and missing signers.
    Stuff,
    /// Two of it, each for one half of the others (Twins, OPODIS 2021).
    Twins,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::EquivocatingLeader,
        Self::DoubleBallot,
        Self::NullifyFinalize,
        Self::Forge,
        Self::Replay,
        Self::Withhold,
        Self::Selective,
        Self::Censor,
        Self::Stuff,
        Self::Twins,
    ];
}

/// A liar: its lie, its key, what it heard.
#[derive(Clone, Debug)]
pub(crate) struct Liar {
    pub(crate) lie: Lie,
    pub(crate) key: Key,
    pub(crate) rank: Rank,
    heard: Vec<Message>,
}

/// Messages that a replaying liar keeps.
const HEARD_MAX: usize = 64;

impl Liar {
    pub(crate) const fn new(lie: Lie, key: Key, rank: Rank) -> Self {
        Self { lie, key, rank, heard: vec![] }
    }

    pub(crate) fn hear(&mut self, message: &Message) {
        if self.lie == Lie::Replay && self.heard.len() < HEARD_MAX {
            self.heard.push(message.clone());
        }
    }

    /// What it says to this voter instead of `message`.
    pub(crate) fn say(
        &self,
        electorate: &Electorate,
        (draw, count): (Draw, u64),
        to: Rank,
        message: Message,
    ) -> Vec<Message> {
        let odd = to.0 % 2 == 1;
        let what = [u64::from(self.rank.0), u64::from(to.0), count];
        match self.lie {
            Lie::Selective if odd => vec![],
            Lie::Withhold if matches!(message, Message::Propose(_)) => vec![],
            Lie::DoubleBallot if odd => vec![self.other_ballot(electorate, message)],
            Lie::EquivocatingLeader if odd => vec![self.other_value(electorate, message)],
            Lie::Censor => self.censor(electorate, message).into_iter().collect(),
            Lie::NullifyFinalize if odd => {
                let also = self.nullify(electorate, &message);
                [Some(message), also].into_iter().flatten().collect()
            }
            Lie::Forge => {
                let forged = self.forge(electorate, &message, draw.bits("forge", &what));
                [Some(message), forged].into_iter().flatten().collect()
            }
            Lie::Stuff => {
                let stuffed = self.stuff(&message, draw.bits("stuff", &what));
                [Some(message), stuffed].into_iter().flatten().collect()
            }
            Lie::Replay => {
                let old = draw.index("replay", &what, self.heard.len());
                [Some(message), self.heard.get(old).cloned()].into_iter().flatten().collect()
            }
            _ => vec![message],
        }
    }

    fn sign(&self, electorate: &Electorate, from: &Signed, statement: Statement) -> Signed {
        self.key.sign(electorate, (from.instance, self.rank), statement)
    }

    fn other_ballot(&self, electorate: &Electorate, message: Message) -> Message {
        match message {
            Message::Ballot(mut pair) if pair.1.rank == self.rank => {
                if let Statement::Ballot(mut ballot) = pair.1.statement {
                    ballot.verdict = match ballot.verdict {
                        Verdict::Approve => Verdict::Reject(Reason::Slow),
                        Verdict::Reject(_) => Verdict::Approve,
                    };
                    pair.1 = self.sign(electorate, &pair.1, Statement::Ballot(ballot));
                }
                Message::Ballot(pair)
            }
            other => other,
        }
    }

    /// Another value with a body that hashes to it.
    fn other_value(&self, electorate: &Electorate, message: Message) -> Message {
        match message {
            Message::Propose(propose) => self.propose(electorate, *propose, |body, outcome| {
                body.ballots.pop();
                outcome
            }),
            other => other,
        }
    }

    fn propose(
        &self,
        electorate: &Electorate,
        propose: Propose,
        change: impl FnOnce(&mut Body, Outcome) -> Outcome,
    ) -> Message {
        let Statement::Vote(Vote::Notarize(round, value)) = propose.vote.statement else {
            return Message::Propose(Box::new(propose));
        };
        let mut body = propose.body.unwrap_or_default();
        let outcome = change(&mut body, value.outcome);
        let value = body.value(outcome, electorate, propose.vote.instance);
        let statement = Statement::Vote(Vote::Notarize(round, value));
        let vote = self.sign(electorate, &propose.vote, statement);
        let certificates = propose.certificates;
        Message::Propose(Box::new(Propose { vote, body: Some(body), certificates }))
    }

    fn censor(&self, electorate: &Electorate, message: Message) -> Option<Message> {
        match message {
            Message::Ballot(_) => None,
            Message::Propose(propose) => Some(self.propose(electorate, *propose, |body, _| {
                body.ballots.clear();
                Outcome::Expired
            })),
            other => Some(other),
        }
    }

    fn nullify(&self, electorate: &Electorate, message: &Message) -> Option<Message> {
        let Message::Statement(signed) = message else {
            return None;
        };
        let Statement::Vote(Vote::Finalize(round, _)) = signed.statement else {
            return None;
        };
        let nullify = self.sign(electorate, signed, Statement::Vote(Vote::Nullify(round)));
        Some(Message::Statement(Box::new(nullify)))
    }

    /// In the name of the next voter, or about another instance.
    fn forge(&self, electorate: &Electorate, message: &Message, bits: u64) -> Option<Message> {
        let Message::Statement(signed) = message else {
            return None;
        };
        let mut forged = (**signed).clone();
        let voters = u16::try_from(electorate.len()).unwrap_or(1);
        match bits % 3 {
            0 => forged.rank = Rank((self.rank.0 + 1) % voters),
            1 => forged.statement = Statement::Vote(Vote::Nullify(1 + bits % 7)),
            _ => forged.seal = Seal(bits.to_be_bytes().to_vec()),
        }
        (forged != **signed).then(|| Message::Statement(Box::new(forged)))
    }

    /// A quorum out of one signature.
    fn stuff(&self, message: &Message, bits: u64) -> Option<Message> {
        let Message::Statement(signed) = message else {
            return None;
        };
        let Statement::Vote(vote) = signed.statement else {
            return None;
        };
        let rank = |at: u16| match bits % 3 {
            0 => signed.rank,
            1 => Rank(at),
            _ => Rank(at + 300),
        };
        let seals = (0..8).map(|at| (rank(at), signed.seal.clone())).collect();
        Some(Message::Certificate(Certificate { instance: signed.instance, vote, seals }))
    }
}
