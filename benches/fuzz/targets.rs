//! What is fed, from which examples, and what must hold of whatever is accepted.

use formic_benches::voters::{Key, Voters, World};
use formic_consensus::{Known, Message, Rank, prove, verify};
use formic_core::{Digest, PeerId, wire};
use formic_identity::{
    ED25519, Ed25519, Entropy, KeyBinding, RSA_2048, Rsa2048, Scheme, SecretKey, Ticket, VotingKey,
    VotingPublicKey, Work,
};

/// Reads bytes and says how that ended: `accepted`, an error, or `WRONG ..`.
type Run = Box<dyn Fn(&[u8]) -> String>;

/// One reader.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Inputs that are accepted.
    pub(crate) corpus: Vec<Vec<u8>>,
    #[cfg_attr(not(test), expect(dead_code, reason = "only the short run of the tests asks"))]
    /// In how many ways 2,000 inputs end at least: fewer, and the mutations do not reach the rules.
    pub(crate) ends_min: usize,
    pub(crate) run: Run,
}

fn target(name: &'static str, ends_min: usize, corpus: Vec<Vec<u8>>, run: Run) -> Target {
    Target { name, corpus, ends_min, run }
}

pub(crate) fn all() -> Result<Vec<Target>, String> {
    let (binding, rsa, secret) = keys()?;
    let ed25519 = SecretKey::from_seed([1; 32]).public().spki_der().to_vec();
    Ok(vec![
        messages()?,
        proof()?,
        binding,
        ticket()?,
        target("ed25519", 4, vec![ed25519], Box::new(|bytes| key(ED25519, bytes))),
        target("rsa", 4, vec![rsa], Box::new(|bytes| key(RSA_2048, bytes))),
        target("secret", 2, vec![secret], Box::new(pkcs8)),
    ])
}

/// All messages of two decisions, one with a silent leader.
fn messages() -> Result<Target, String> {
    let voters = Voters::<Ed25519>::new(4)?;
    let mut world = World::new(&voters)?;
    world.keep_messages();
    world.decide(voters.proposal(1), Rank(0))?;
    let mut corpus = world.kept();
    let mut world = World::new(&voters)?;
    world.keep_messages();
    let other = voters.proposal(2);
    let leads = formic_consensus::leader(&voters.electorate, other.instance(&voters.electorate), 1);
    world.silence(leads);
    world.decide(other, Rank(u16::from(leads.0 == 0)))?;
    corpus.extend(world.kept());
    let roster = voters.roster()?;
    let read = target(
        "message",
        6,
        corpus,
        Box::new(move |bytes| {
            let message = match wire::decode::<Message>(bytes) {
                Ok(message) => message,
                Err(error) => return format!("{error:?}"),
            };
            let mut known = Known::default();
            let end = roster.check_known(message.clone(), &mut known).map(drop);
            // Once known, or checked from the beginning, or told again in canonical bytes: the same verdict.
            let again = wire::encode(&message).map(|bytes| wire::decode::<Message>(&bytes));
            let same = matches!(again, Ok(Ok(again)) if again == message)
                && roster.check_known(message.clone(), &mut known).map(drop) == end
                && roster.check(message).map(drop) == end;
            match end {
                _ if !same => "WRONG: another verdict the second time".to_owned(),
                Ok(()) => "accepted".to_owned(),
                Err(error) => format!("{error:?}"),
            }
        }),
    );
    Ok(read)
}

/// The proof of a decision.
fn proof() -> Result<Target, String> {
    let voters = Voters::<Ed25519>::new(4)?;
    let mut world = World::new(&voters)?;
    let proposal = voters.proposal(1);
    let id = world.decide(proposal, Rank(0))?;
    let certificate = world.proof(id).ok_or("no certificate")?.clone();
    let spkis: Vec<Vec<u8>> = certificate
        .seals
        .iter()
        .map(|(rank, _)| Ed25519::spki(&voters.publics[rank.index()]))
        .collect();
    let views: Vec<&[u8]> = spkis.iter().map(Vec::as_slice).collect();
    let good = prove(&voters.electorate, &proposal, &certificate, &views).ok_or("no proof")?;
    let pinned = voters.electorate.digest();
    let read = target(
        "proof",
        6,
        vec![good.clone()],
        Box::new(move |bytes| {
            let read = |scheme, spki: &[u8]| {
                (scheme == ED25519).then(|| Ed25519::public(spki).ok().map(Key::<Ed25519>))?
            };
            match verify(Some(pinned), bytes, read) {
                Ok(_) if bytes == good => "accepted".to_owned(),
                Ok(_) => "WRONG: other bytes are a proof".to_owned(),
                Err(flaw) => format!("{flaw:?}"),
            }
        }),
    );
    Ok(read)
}

fn ticket() -> Result<Target, String> {
    let (mesh, electorate) = (Digest::of(&[b"mesh"]), Digest::of(&[b"electorate"]));
    let peer = PeerId::from_bytes([1; 32]);
    let challenge = formic_identity::Challenge::new(mesh, electorate, peer);
    let mut solver = formic_identity::Solver::new(challenge, Work::MIN);
    let nonce = solver.step(1 << 22).ok_or("no nonce in 2^22 tries")?;
    let good = Ticket { electorate, nonce }.to_bytes().to_vec();
    Ok(target(
        "ticket",
        4,
        vec![good],
        Box::new(move |bytes| {
            let ticket = match Ticket::from_bytes(bytes) {
                Ok(ticket) if ticket.to_bytes() != *bytes => {
                    return "WRONG: not the bytes it was read from".to_owned();
                }
                Ok(ticket) => ticket,
                Err(error) => return format!("{error:?}"),
            };
            let end = ticket.check(mesh, peer, &[(electorate, Work::MIN)]);
            end.map_or_else(|error| format!("{error:?}"), |()| "accepted".to_owned())
        }),
    ))
}

/// Bindings of both schemes, an RSA public key, an RSA secret key.
fn keys() -> Result<(Target, Vec<u8>, Vec<u8>), String> {
    let mesh = Digest::of(&[b"mesh"]);
    let mut entropy = Entropy::from_seed([5; 32]);
    let mut corpus = vec![];
    let (mut spki, mut secret) = (vec![], vec![]);
    for scheme in [ED25519, RSA_2048] {
        let failed = |error: formic_identity::KeyError| error.to_string();
        let voting = VotingKey::generate(scheme, &mut entropy).map_err(failed)?;
        let identity = SecretKey::from_seed([2; 32]);
        let binding = KeyBinding::sign((mesh, 1), &identity, &voting, &mut entropy);
        corpus.push(binding.map_err(failed)?.to_bytes());
        spki = voting.public().spki_der();
        secret = voting.to_pkcs8_der().map_err(failed)?.to_vec();
    }
    let good = corpus.clone();
    let binding = target(
        "binding",
        6,
        corpus,
        Box::new(move |bytes| match KeyBinding::from_bytes(mesh, bytes) {
            Ok(_) if good.iter().any(|known| known == bytes) => "accepted".to_owned(),
            Ok(_) => "WRONG: other bytes bind a key".to_owned(),
            Err(error) => format!("{error:?}"),
        }),
    );
    Ok((binding, spki, secret))
}

fn key(scheme: u8, bytes: &[u8]) -> String {
    match VotingPublicKey::from_spki_der(scheme, bytes) {
        Ok(key) if key.spki_der() != bytes => "WRONG: not the bytes it was read from".to_owned(),
        // A signature of zeros under any key.
        Ok(key) if key.verify(b"", &[0; 256]) || key.verify(b"", &[0; 64]) => {
            "WRONG: verifies anything".to_owned()
        }
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn pkcs8(bytes: &[u8]) -> String {
    match Rsa2048::secret(bytes) {
        Ok(secret) => match Rsa2048::pkcs8(&secret) {
            Ok(again) if *again == *bytes => "accepted".to_owned(),
            _ => "WRONG: not the bytes it was read from".to_owned(),
        },
        Err(error) => format!("{error:?}"),
    }
}
