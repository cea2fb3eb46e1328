//! A decision as bytes that anybody can check offline (consensus.md section 10): the electorate, the
//! proposal, the value, and a quorum's keys and signatures. Hand-laid with fixed widths, big-endian, so that
//! there is exactly one spelling.
#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use formic_core::{Digest, PeerId};

use crate::{
    Certificate, Electorate, InstanceId, Member, Misbehaviour, Outcome, Policy, Proposal,
    PublicKey, Rank, Roster, SEAL_MAX, Seal, Standing, Value, Vote, Weighting, electorate::domain,
};

const NAME: &str = "formic/proof/1";
/// The longest SubjectPublicKeyInfo, in bytes: RSA-2048 has 294.
const SPKI_MAX: usize = 512;

/// What a proof proves: a quorum of the pinned electorate signed this outcome. Not that the work is good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Whom it was asked.
    pub electorate: Electorate,
    /// Which instance.
    pub instance: InstanceId,
    /// What was asked.
    pub proposal: Proposal,
    /// What was decided.
    pub value: Value,
    /// Who signed, ascending.
    pub signers: Vec<PeerId>,
}

/// Why bytes prove nothing. The fault of whoever made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Not the layout of a proof.
    #[error("byte {at} is not what a proof has there")]
    Layout {
        /// Where, from 0.
        at: usize,
    },
    /// The electorate is not the one that the user trusts.
    #[error("the electorate is not the pinned one")]
    Unpinned,
    /// A key that is none, or not the one that the electorate lists.
    #[error("the key of voter {rank:?} is not the listed one")]
    Key {
        /// Whose.
        rank: Rank,
    },
    /// The electorate could not have decided this.
    #[error("the proposal or the electorate is out of range")]
    Range,
    /// Too few signatures, or a wrong one.
    #[error(transparent)]
    Votes(Misbehaviour),
}

/// The proof of a decision. `spkis` are the signers' SubjectPublicKeyInfos, in the order of the
/// certificate's seals. `None` if the certificate decides nothing, or there are more or fewer keys than seals.
pub fn prove(
    electorate: &Electorate,
    proposal: &Proposal,
    certificate: &Certificate,
    spkis: &[&[u8]],
) -> Option<Vec<u8>> {
    let Vote::Finalize(round, value) = certificate.vote else {
        return None;
    };
    if spkis.len() != certificate.seals.len() {
        return None;
    }
    let mut bytes = domain(NAME).to_vec();
    bytes.extend(electorate.mesh().as_bytes());
    bytes.extend(electorate.number().to_be_bytes());
    bytes.extend(electorate.previous().as_bytes());
    bytes.extend(electorate.min_threshold().to_be_bytes());
    bytes.extend(u16::try_from(electorate.len()).ok()?.to_be_bytes());
    for member in electorate.members() {
        bytes.extend(member.peer.as_bytes());
        bytes.push(member.scheme);
        bytes.extend(member.key.as_bytes());
        bytes.extend(member.standing.good.to_be_bytes());
        bytes.extend(member.standing.bad.to_be_bytes());
    }
    bytes.extend(proposal.subject.as_bytes());
    bytes.extend(proposal.attempt.to_be_bytes());
    bytes.extend(proposal.author.map_or([0; 32], |author| *author.as_bytes()));
    bytes.extend(proposal.policy.bytes());
    bytes.extend(proposal.payload.as_bytes());
    bytes.extend(round.to_be_bytes());
    bytes.extend(value.outcome.code());
    bytes.extend(value.ballots.to_be_bytes());
    bytes.extend(value.ballots_root.as_bytes());
    bytes.extend(value.evidence.to_be_bytes());
    bytes.extend(value.evidence_root.as_bytes());
    bytes.extend(u16::try_from(spkis.len()).ok()?.to_be_bytes());
    for ((rank, seal), spki) in certificate.seals.iter().zip(spkis) {
        bytes.extend(rank.0.to_be_bytes());
        bytes.extend(u16::try_from(spki.len()).ok()?.to_be_bytes());
        bytes.extend(*spki);
        bytes.extend(u16::try_from(seal.0.len()).ok()?.to_be_bytes());
        bytes.extend(&seal.0);
    }
    Some(bytes)
}

/// Checks a proof with nothing but itself and the digest of an electorate that the user trusts; `None`: whatever
/// electorate the proof names, which then proves only what *these* voters decided. `key` reads a
/// SubjectPublicKeyInfo of a scheme.
///
/// # Errors
/// A [`Flaw`]: any changed, missing or added byte is one.
pub fn verify<K: PublicKey>(
    pinned: Option<Digest>,
    bytes: &[u8],
    key: impl Fn(u8, &[u8]) -> Option<K>,
) -> Result<Decision, Flaw> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.take(16)? != domain(NAME) {
        return Err(Flaw::Layout { at: 0 });
    }
    let electorate = reader.electorate()?;
    if pinned.is_some_and(|pinned| electorate.digest() != pinned) {
        return Err(Flaw::Unpinned);
    }
    let proposal = reader.proposal()?;
    proposal.check(&electorate).map_err(|_| Flaw::Range)?;
    let instance = proposal.instance(&electorate);
    let (round, value) = (reader.u64()?, reader.value()?);
    let count = reader.u16()?;
    let (mut keys, mut seals) = (vec![], vec![]);
    for _ in 0..count {
        let rank = Rank(reader.u16()?);
        let spki = reader.counted(SPKI_MAX)?;
        let member = electorate.member(rank).ok_or(Flaw::Key { rank })?;
        if Digest::of(&[spki]) != member.key {
            return Err(Flaw::Key { rank });
        }
        keys.push((rank, key(member.scheme, spki).ok_or(Flaw::Key { rank })?));
        seals.push((rank, Seal(reader.counted(SEAL_MAX)?.to_vec())));
    }
    if reader.at != bytes.len() {
        return Err(Flaw::Layout { at: reader.at });
    }
    let signers = seals.iter().filter_map(|(rank, _)| electorate.member(*rank));
    let signers = signers.map(|member| member.peer).collect();
    let certificate = Certificate { instance, vote: Vote::Finalize(round, value), seals };
    let roster = Roster::of_some(electorate, keys);
    roster.certificate(&certificate).map_err(Flaw::Votes)?;
    let electorate = roster.electorate().clone();
    Ok(Decision { electorate, instance, proposal, value, signers })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let flaw = Flaw::Layout { at: self.at };
        let end = self.at.checked_add(count).ok_or(flaw)?;
        let taken = self.bytes.get(self.at..end).ok_or(flaw)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let flaw = Flaw::Layout { at: self.at };
        self.take(N)?.try_into().map_err(|_| flaw)
    }

    fn u16(&mut self) -> Result<u16, Flaw> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Flaw> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Flaw> {
        self.array().map(u64::from_be_bytes)
    }

    fn digest(&mut self) -> Result<Digest, Flaw> {
        self.array().map(Digest::from_bytes)
    }

    fn counted(&mut self, max: usize) -> Result<&'a [u8], Flaw> {
        let flaw = Flaw::Layout { at: self.at };
        let count = usize::from(self.u16()?);
        if count > max { Err(flaw) } else { self.take(count) }
    }

    fn electorate(&mut self) -> Result<Electorate, Flaw> {
        let (mesh, number, previous) = (self.digest()?, self.u64()?, self.digest()?);
        let (min_threshold, count) = (self.u16()?, self.u16()?);
        let mut members = vec![];
        for _ in 0..count {
            let peer = PeerId::from_bytes(self.array()?);
            let [scheme] = self.array()?;
            let key = self.digest()?;
            let standing = Standing { good: self.u32()?, bad: self.u32()? };
            members.push(Member { peer, scheme, key, standing });
        }
        Electorate::new(mesh, (number, previous), min_threshold, members).map_err(|_| Flaw::Range)
    }

    fn proposal(&mut self) -> Result<Proposal, Flaw> {
        let (subject, attempt) = (self.digest()?, self.u32()?);
        let author = self.array::<32>()?;
        let author = (author != [0; 32]).then(|| PeerId::from_bytes(author));
        let threshold = self.u16()?;
        let flaw = Flaw::Layout { at: self.at };
        let weighting = match self.array()? {
            [0] => Weighting::Equal,
            [1] => Weighting::Reputation,
            _ => return Err(flaw),
        };
        let deadline_ms = self.u32()?;
        let floors = [self.u16()?, self.u16()?, self.u16()?, self.u16()?, self.u16()?];
        let policy = Policy { threshold, weighting, deadline_ms, floors };
        Ok(Proposal { subject, attempt, author, policy, payload: self.digest()? })
    }

    fn value(&mut self) -> Result<Value, Flaw> {
        let flaw = Flaw::Layout { at: self.at };
        let outcome = Outcome::of_code(self.array()?).ok_or(flaw)?;
        let (ballots, ballots_root) = (self.u16()?, self.digest()?);
        let (evidence, evidence_root) = (self.u16()?, self.digest()?);
        Ok(Value { outcome, ballots, ballots_root, evidence, evidence_root })
    }
}
