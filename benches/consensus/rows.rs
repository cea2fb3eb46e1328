//! What is measured, one function each.

use std::hint::black_box;

use formic_benches::{
    pairs::{Pairs, Round, Timer},
    voters::{DELAY, Key, Voters, World},
};
use formic_consensus::{Config, Message, Rank, Statement, leader, prove, quorum, verify};
use formic_core::{Digest, PeerId, Time, wire};
use formic_identity::{Challenge, Entropy, Scheme, Solver, Work};

use crate::{Effort, table::Table};

/// A backend of a scheme, by name.
pub(crate) type Name = &'static str;

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Bytes and their signature.
type SignedBytes = (Vec<u8>, Vec<u8>);

fn failed(error: impl core::fmt::Display) -> String {
    format!("the bench refused its own work: {error}")
}

/// Decisions, beside their cryptography alone: per voter 3(n-1) verifications and 3 signatures.
pub(crate) fn decisions<S: Scheme>(
    table: &mut Table,
    name: Name,
    (voters, effort): (usize, Effort),
) -> Result<(), String> {
    let keys = Voters::<S>::new(voters)?;
    let count = effort.decisions(S::ID);
    let mut number = 0;
    let mut error = None;
    let ours = || {
        let mut world = match World::new(&keys) {
            Ok(world) => world,
            Err(why) => {
                error = Some(why);
                return Timer::start().stop(1);
            }
        };
        let timer = Timer::start();
        for _ in 0..count {
            number += 1;
            let by = Rank(u16::try_from(number as usize % voters).unwrap_or(0));
            if let Err(why) = world.decide(keys.proposal(number), by) {
                error = Some(why);
            }
        }
        assert_eq!(world.tally.decisions, voters * count as usize, "not all decided");
        timer.stop(u64::from(count))
    };
    let statements = statements(&keys)?;
    let mut entropy = Entropy::from_seed([3; 32]);
    let theirs = || floor(&keys, &statements, (count, &mut entropy));
    let pairs = Pairs::run(effort.rounds(), ours, theirs);
    if let Some(error) = error {
        return Err(error);
    }
    let each = float(voters as u64) * 1e3;
    let us = |side| pairs.median(side, Round::cpu_ns) / each;
    let title = format!(
        "{name}, n = {voters}: processor time of a voter and decision, over its cryptography"
    );
    let note = format!("{:.0} us over {:.0} us", us(0), us(1));
    table.ratio(title, pairs.ratio(Round::cpu_ns), 1.15, note);
    let rate = pairs.median(0, Round::rate);
    let note = "all voters on one core";
    table.plain(format!("{name}, n = {voters}: decisions"), rate, "/s", note);
    Ok(())
}

/// A statement of each voter with its signature.
fn statements<S: Scheme>(keys: &Voters<S>) -> Result<Vec<SignedBytes>, String> {
    let instance = keys.proposal(0).instance(&keys.electorate);
    let mut entropy = Entropy::from_seed([4; 32]);
    let sign = |(rank, secret): (Rank, &S::Secret)| {
        let vote = Statement::Vote(formic_consensus::Vote::Nullify(1));
        let bytes = vote.bytes(&keys.electorate, instance, rank);
        let signature = S::sign(secret, &bytes, &mut entropy).map_err(failed)?;
        Ok((bytes, signature))
    };
    keys.electorate.ranks().zip(&keys.secrets).map(sign).collect()
}

fn floor<S: Scheme>(
    keys: &Voters<S>,
    statements: &[SignedBytes],
    (count, entropy): (u32, &mut Entropy),
) -> Round {
    let timer = Timer::start();
    for _ in 0..count {
        for me in 0..statements.len() {
            (0..3).for_each(|_| vote_round(keys, statements, (me, &mut *entropy)));
        }
    }
    timer.stop(u64::from(count))
}

/// One voter signs a statement and verifies those of all others.
fn vote_round<S: Scheme>(
    keys: &Voters<S>,
    statements: &[SignedBytes],
    (me, entropy): (usize, &mut Entropy),
) {
    let signature = S::sign(&keys.secrets[me], black_box(&statements[me].0), entropy);
    assert!(black_box(signature).is_ok(), "the floor signs");
    let others = statements.iter().zip(&keys.publics).enumerate().filter(|(at, _)| *at != me);
    for (_, ((bytes, signature), key)) in others {
        assert!(black_box(S::verify(key, bytes, signature)), "the floor verifies good signatures");
    }
}

/// Messages and bytes of one decision.
pub(crate) fn traffic<S: Scheme>(
    table: &mut Table,
    name: Name,
    voters: usize,
) -> Result<(), String> {
    let keys = Voters::<S>::new(voters)?;
    let mut world = World::new(&keys)?;
    world.decide(keys.proposal(1), Rank(0))?;
    let note = format!("{:.1} n^2", float(world.tally.messages) / float((voters * voters) as u64));
    let title = |what: &str| format!("{name}, n = {voters}: {what} of a decision");
    table.plain(title("messages"), float(world.tally.messages), "", &note);
    table.plain(title("bytes"), float(world.tally.bytes) / 1e3, "kB", "");
    Ok(())
}

/// Virtual time: proposal to decision, and what a silent leader costs.
pub(crate) fn delays<S: Scheme>(
    table: &mut Table,
    name: Name,
    voters: usize,
) -> Result<(), String> {
    let keys = Voters::<S>::new(voters)?;
    let us = |time: Option<Time>| time.map_or(0, Time::as_us);
    let delay = float(u64::try_from(DELAY.as_micros()).unwrap_or(u64::MAX));
    let proposal = keys.proposal(1);
    let leads = leader(&keys.electorate, proposal.instance(&keys.electorate), 1);
    let by = Rank(u16::from(leads.0 == 0));
    let mut world = World::new(&keys)?;
    world.decide(proposal, by)?;
    let healthy = world.tally;
    let delays = float(us(healthy.decided) - us(healthy.proposed)) / delay;
    let title = format!("{name}, n = {voters}: leader's proposal until the last voter decided");
    table.most(title, delays, "delays", 3.0);
    let mut world = World::new(&keys)?;
    world.silence(leads);
    world.decide(proposal, by)?;
    let more = float(us(world.tally.decided) - us(healthy.decided));
    let delta = u64::try_from(Config::default().delta.as_micros()).unwrap_or(u64::MAX);
    let title = format!("{name}, n = {voters}: what a silent leader adds (2 delta + 1 delay)");
    table.most(title, more / 1e3, "ms", (2.0 * float(delta) + delay) / 1e3);
    Ok(())
}

/// The size of a certificate, and a light client that checks a decision with nothing but a pinned digest.
pub(crate) fn certificate<S: Scheme>(
    table: &mut Table,
    name: Name,
    (voters, goal, effort): (usize, f64, Effort),
) -> Result<(), String> {
    let keys = Voters::<S>::new(voters)?;
    let mut world = World::new(&keys)?;
    let proposal = keys.proposal(1);
    let id = world.decide(proposal, Rank(0))?;
    let mut certificate = world.proof(id).ok_or("no certificate")?.clone();
    certificate.seals.truncate(quorum(voters));
    let size = wire::encode(&Message::Certificate(certificate.clone())).map_err(failed)?.len();
    table.most(format!("{name}, n = {voters}: certificate"), float(size as u64), "bytes", goal);
    let spkis: Vec<Vec<u8>> =
        certificate.seals.iter().map(|(rank, _)| S::spki(&keys.publics[rank.index()])).collect();
    let views: Vec<&[u8]> = spkis.iter().map(Vec::as_slice).collect();
    let proof = prove(&keys.electorate, &proposal, &certificate, &views).ok_or("no proof")?;
    let note = "with the electorate, the proposal and the signers' keys";
    table.plain(format!("{name}, n = {voters}: proof"), float(proof.len() as u64), "bytes", note);
    let pinned = keys.electorate.digest();
    let statement = Statement::Vote(certificate.vote);
    let signed: Vec<_> = certificate
        .seals
        .iter()
        .map(|(rank, seal)| (rank.index(), statement.bytes(&keys.electorate, id, *rank), &seal.0))
        .collect();
    let times = effort.proofs();
    let key =
        |scheme, spki: &[u8]| (scheme == S::ID).then(|| S::public(spki).ok().map(Key::<S>))?;
    let ours = || {
        let timer = Timer::start();
        for _ in 0..times {
            assert!(
                black_box(verify(Some(pinned), black_box(&proof), key)).is_ok(),
                "it is a proof"
            );
        }
        timer.stop(times)
    };
    let theirs = || {
        let timer = Timer::start();
        for _ in 0..times {
            for (rank, bytes, seal) in &signed {
                assert!(black_box(S::verify(&keys.publics[*rank], bytes, seal)), "it is signed");
            }
        }
        timer.stop(times)
    };
    let pairs = Pairs::run(effort.rounds(), ours, theirs);
    let us = |side| pairs.median(side, Round::cpu_ns) / 1e3;
    let title = format!(
        "{name}, n = {voters}: a light client's check, over its {} verifications",
        quorum(voters)
    );
    let note = format!("{:.0} us over {:.0} us", us(0), us(1));
    table.ratio(title, pairs.ratio(Round::cpu_ns), 1.1, note);
    Ok(())
}

/// Solving and checking tickets.
pub(crate) fn tickets(table: &mut Table, effort: Effort) -> Result<(), String> {
    let (mesh, electorate) = (Digest::of(&[b"mesh"]), Digest::of(&[b"electorate"]));
    let mut tries_ns = 0.0;
    for (bits, solves) in [(16, 64), (18, 32), (20, 16)] {
        let solves = effort.solves(solves);
        let work = Work::new(1 << bits).map_err(failed)?;
        let mut tried = 0;
        let timer = Timer::start();
        for round in 0..solves {
            let peer = Digest::of(&[&[bits], &round.to_be_bytes()]);
            let challenge = Challenge::new(mesh, electorate, PeerId::from_bytes(*peer.as_bytes()));
            let mut solver = Solver::new(challenge, work);
            while solver.step(1 << 12).is_none() {}
            tried += solver.tried();
        }
        let round = timer.stop(tried);
        tries_ns = round.cpu_ns();
        let note =
            format!("{solves} solves, {} tries each, {tries_ns:.0} ns a try", tried / solves);
        let ms = tries_ns * float(work.tries()) / 1e6;
        table.plain(format!("ticket of {bits} bits: mean solve"), ms, "ms", &note);
    }
    let challenge = Challenge::new(mesh, electorate, PeerId::from_bytes([1; 32]));
    let checks = 200_000;
    let timer = Timer::start();
    for nonce in 0..checks {
        let peer = PeerId::from_bytes([1; 32]);
        let again = Challenge::new(black_box(mesh), electorate, peer);
        black_box(again.accepts(nonce, Work::MIN));
    }
    let check_ns = timer.stop(checks).cpu_ns();
    black_box(challenge);
    table.plain("ticket: check".to_owned(), check_ns, "ns", "three blocks of SHA-256");
    // Less is better in this table: the check as a share of the solve.
    let share = check_ns / (tries_ns * float(Work::default().tries()));
    let bound = 1.0 / float(1 << 18);
    table.most("ticket of 20 bits: check / solve, times 2^18".to_owned(), share / bound, "", 1.0);
    Ok(())
}
