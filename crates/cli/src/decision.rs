//! Decisions of voters as files, and checking them offline.
//!
//! Like a certificate a file has exactly one spelling: all that it says in words is read from the proof and written again,
//! then compared byte by byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use formic::{DIMENSION_NAMES, Decision, Judgement, LogBallot, LogEvent, LogLine};
use formic_core::{Digest, wire};
use serde::{Deserialize, Serialize};

use crate::{exit::Stop, hex, report::Validation};

/// What a file of this version calls itself.
pub(crate) const FORMAT: &str = "formic-decision-1";

/// Why a file is no decision that verifies. The fault of whoever wrote or changed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecided {
    /// Not the text of a decision.
    #[error("it is no decision: {0}")]
    Unreadable(String),
    /// What it says is not what its proof says.
    #[error("it was changed: byte {0} is not as a decision with this proof is written")]
    NotCanonical(usize),
    /// The proof proves nothing.
    #[error("its proof: {0}")]
    Unproved(#[from] formic::BadDecision),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    job: String,
    task: String,
    name: String,
    attempt: u32,
    outcome: String,
    electorate: String,
    voters: Vec<String>,
    author: Option<String>,
    signers: Vec<String>,
    /// `null`: the peer that kept the decision has not seen them.
    ballots: Option<BTreeMap<String, LogBallot>>,
    liars: Vec<String>,
    proof: String,
}

/// The one spelling of a decision.
///
/// # Errors
/// It proves nothing.
pub(crate) fn write(decision: &Decision) -> Result<String, Undecided> {
    let judgement = decision.check(None)?;
    let proof = &judgement.proof;
    let bytes = wire::encode(decision).map_err(unreadable)?;
    let ballots = judgement.ballots.iter().map(|(who, it)| (who.to_string(), it.into()));
    let file = File {
        format: FORMAT.to_owned(),
        job: decision.job.to_string(),
        task: decision.task.to_string(),
        name: decision.name.clone(),
        attempt: proof.proposal.attempt,
        outcome: judgement.in_words(),
        electorate: proof.electorate.digest().to_string(),
        voters: proof.electorate.members().iter().map(|it| it.peer.to_string()).collect(),
        author: proof.proposal.author.map(|author| author.to_string()),
        signers: proof.signers.iter().map(ToString::to_string).collect(),
        ballots: decision.body.is_some().then(|| ballots.collect()),
        liars: judgement.liars.iter().map(ToString::to_string).collect(),
        proof: hex::encode(&bytes),
    };
    let mut text = serde_json::to_string_pretty(&file).map_err(unreadable)?;
    text.push('\n');
    Ok(text)
}

fn unreadable(error: impl ToString) -> Undecided {
    Undecided::Unreadable(error.to_string())
}

/// Whether these bytes call themselves a decision.
pub(crate) fn is_decision(bytes: &[u8]) -> bool {
    let value = serde_json::from_slice::<serde_json::Value>(bytes);
    value.is_ok_and(|value| value["format"] == FORMAT)
}

/// Reads and checks a decision; with `pinned` it must be this electorate's.
///
/// # Errors
/// The first thing found wrong.
pub(crate) fn read(
    bytes: &[u8],
    pinned: Option<Digest>,
) -> Result<(Decision, Judgement), Undecided> {
    let file: File = serde_json::from_slice(bytes).map_err(unreadable)?;
    let proof = hex::decode(&file.proof).map_err(unreadable)?;
    let decision: Decision = wire::decode(&proof).map_err(unreadable)?;
    let judgement = decision.check(pinned)?;
    let canonical = write(&decision)?;
    if canonical.as_bytes() != bytes {
        let same = canonical.bytes().zip(bytes).take_while(|(a, b)| a == *b).count();
        return Err(Undecided::NotCanonical(same));
    }
    Ok((decision, judgement))
}

/// What is said about a decision on a screen.
pub(crate) fn explain(judgement: &Judgement) -> Vec<(&'static str, String)> {
    let proof = &judgement.proof;
    let mut rows = vec![
        ("outcome", judgement.in_words()),
        ("electorate", proof.electorate.digest().to_string()),
    ];
    if let Some(author) = proof.proposal.author {
        rows.push(("author", format!("{author}, who does not judge")));
    }
    for (who, ballot) in &judgement.ballots {
        rows.push(("ballot", format!("{}: {}", who.short(), in_words(&ballot.into()))));
    }
    for liar in &judgement.liars {
        rows.push(("LIAR", format!("{liar} signed two ballots, or votes that contradict")));
    }
    let signers: Vec<String> = proof.signers.iter().map(|it| it.short()).collect();
    let quorum = format!("{} of {} voters", signers.len(), proof.electorate.len());
    rows.push(("signed by", format!("{quorum}: {}", signers.join(", "))));
    rows
}

/// `approve, tests 0.93, quality 0.9`.
pub(crate) fn in_words(ballot: &LogBallot) -> String {
    let mut words = ballot.verdict.clone();
    if let Some(reason) = &ballot.reason {
        words.push_str(&format!(" ({reason})"));
    }
    for name in DIMENSION_NAMES {
        if let Some(score) = ballot.scores.get(name) {
            words.push_str(&format!(", {name} {}", formic_node::share(*score)));
        }
    }
    words
}

/// The decisions of a job in its log, each once, in the order in which they were made.
pub(crate) fn of_log(lines: &[LogLine], job: &str) -> Vec<Validation> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in lines {
        let LogEvent::DecisionMade {
            job: of,
            key,
            name,
            outcome,
            words,
            electorate,
            ballots,
            liars,
            proof,
        } = &line.event
        else {
            continue;
        };
        if of != job || !seen.insert(key) {
            continue;
        }
        // Whose no it was, or would have been: a score under a floor is nobody's in particular.
        let is_against = |ballot: &LogBallot| outcome != "expired" && ballot.verdict != "approve";
        let decided = ballots.iter().filter(|(_, ballot)| is_against(ballot));
        let mut against: BTreeSet<String> = decided.map(|(who, _)| named(lines, who)).collect();
        // A ballot that came too late for the decision was cast all the same.
        against.extend(lines.iter().filter_map(|line| match &line.event {
            LogEvent::BallotCast { key: of, ballot, .. } if of == key && is_against(ballot) => {
                Some(named(lines, &line.peer))
            }
            _ => None,
        }));
        found.push(Validation {
            task: name.clone(),
            key: key.clone(),
            outcome: outcome.clone(),
            words: words.clone(),
            electorate: electorate.clone(),
            against: against.into_iter().collect(),
            liars: liars.iter().map(|who| named(lines, who)).collect(),
            file: None,
            proof: proof.clone(),
        });
    }
    found
}

/// `NAME (first digits)`, as the log introduces the peer.
fn named(lines: &[LogLine], peer: &str) -> String {
    let short = peer.get(..8).unwrap_or(peer);
    let name = lines.iter().find_map(|line| match &line.event {
        LogEvent::PeerStarted { name, .. } if line.peer.starts_with(short) => Some(name),
        _ => None,
    });
    name.map_or_else(|| short.to_owned(), |name| format!("{name} ({short})"))
}

/// Writes each decision beside the certificate: `decision-TASK.json`, of a later try `decision-TASK-2.json`.
///
/// # Errors
/// A file cannot be written, or a peer wrote down what is no decision.
pub(crate) fn write_all(certificate: &Path, found: &mut [Validation]) -> Result<(), Stop> {
    let folder = certificate.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let mut tries: BTreeMap<String, u32> = BTreeMap::new();
    for validation in found {
        let number = tries.entry(validation.task.clone()).or_default();
        *number += 1;
        let suffix = if *number == 1 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("decision-{}{suffix}.json", validation.task));
        let decision = hex::decode(&validation.proof).map_err(unreadable);
        let decision = decision.and_then(|it| wire::decode::<Decision>(&it).map_err(unreadable));
        let text = decision.and_then(|decision| write(&decision));
        let text = text.map_err(|error| Stop::usage(format!("{}: {error}", path.display())))?;
        fs::write(&path, text).map_err(|error| Stop::file("write", &path, &error))?;
        validation.file = Some(path.display().to_string());
    }
    Ok(())
}
