//! Every key, signature and refusal of one backend, replayed on the other (`--features aws-lc`); the first backend
//! alone without it.

use formic_core::Random;

use super::rsa::{PKCS8, SIGNATURE, SPKI, STATEMENT, bad_signatures, entropy};
use crate::{Ed25519, Rsa2048, Scheme};

/// Mutated signatures per scheme in a test run. `FORMIC_MUTATIONS` asks for more: 1,000,000 before a release.
fn mutations() -> u64 {
    let asked = std::env::var_os("FORMIC_MUTATIONS").and_then(|it| it.to_str()?.parse().ok());
    asked.unwrap_or(2_000)
}

/// One to three changes: a bit, a byte, two bytes swapped.
fn mutate(random: &mut Random, bytes: &mut [u8]) {
    let length = bytes.len() as u64;
    let place = |random: &mut Random| usize::try_from(random.below(length)).unwrap();
    for _ in 0..=random.below(3) {
        let at = place(random);
        match random.below(3) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            _ => bytes.swap(at, place(random)),
        }
    }
}

/// What both backends have to agree about. `A` is the reference.
fn agree<A: Scheme, B: Scheme>(pkcs8: &[u8], statement: &[u8], hostile: &[Vec<u8>]) {
    let (one, two) = (A::secret(pkcs8).unwrap(), B::secret(pkcs8).unwrap());
    let spki = A::spki(&A::public_of(&one));
    assert_eq!(B::spki(&B::public_of(&two)), spki);
    assert_eq!(A::pkcs8(&one).unwrap(), B::pkcs8(&two).unwrap());
    let (one_public, two_public) = (A::public(&spki).unwrap(), B::public(&spki).unwrap());
    let good = A::sign(&one, statement, &mut entropy(1)).unwrap();
    assert_eq!(B::sign(&two, statement, &mut entropy(2)).unwrap(), good);
    assert!(A::verify(&one_public, statement, &good) && B::verify(&two_public, statement, &good));
    for bad in hostile {
        assert!(!A::verify(&one_public, statement, bad), "{bad:02x?}");
        assert!(!B::verify(&two_public, statement, bad), "{bad:02x?}");
    }
    let mut random = Random::new(1);
    let (mut accepted, mut keys) = (0u64, 0u64);
    for round in 0..mutations() {
        let mut signature = good.clone();
        mutate(&mut random, &mut signature);
        let says = A::verify(&one_public, statement, &signature);
        assert_eq!(B::verify(&two_public, statement, &signature), says, "{signature:02x?}");
        // A swap of equal bytes changes nothing.
        assert_eq!(says, signature == good);
        accepted += u64::from(says);
        // Keys: whatever one reads as a key, the other does, and refuses this signature as the other does.
        let mut other = spki.clone();
        mutate(&mut random, &mut other);
        match (A::public(&other), B::public(&other)) {
            (Ok(one), Ok(two)) => {
                keys += 1;
                let says = A::verify(&one, statement, &good);
                assert_eq!(B::verify(&two, statement, &good), says, "{other:02x?}");
                assert_eq!(says, other == spki);
            }
            (Err(one), Err(two)) => assert_eq!(one, two),
            (one, two) => panic!("round {round}: {one:?}, {two:?} of {other:02x?}"),
        }
    }
    assert!(accepted < mutations() / 10, "mutations that change nothing: {accepted}");
    assert!(keys > mutations() / 10, "no other keys were reached: {keys}");
}

#[test]
fn rsa_backends_agree() {
    agree::<Rsa2048, Rsa2048>(PKCS8, STATEMENT, &bad_signatures());
    #[cfg(feature = "aws-lc")]
    {
        use crate::AwsRsa2048;
        agree::<Rsa2048, AwsRsa2048>(PKCS8, STATEMENT, &bad_signatures());
        let public = AwsRsa2048::public(SPKI).unwrap();
        assert!(AwsRsa2048::verify(&public, STATEMENT, SIGNATURE));
        let made = AwsRsa2048::generate(&mut entropy(3)).unwrap();
        let ours = Rsa2048::generate(&mut entropy(3)).unwrap();
        assert_eq!(AwsRsa2048::pkcs8(&made).unwrap(), Rsa2048::pkcs8(&ours).unwrap());
    }
    assert!(Rsa2048::verify(&Rsa2048::public(SPKI).unwrap(), STATEMENT, SIGNATURE));
}

#[test]
fn ed25519_backends_agree() {
    let secret = Ed25519::generate(&mut entropy(7)).unwrap();
    let pkcs8 = Ed25519::pkcs8(&secret).unwrap();
    let good = Ed25519::sign(&secret, STATEMENT, &mut entropy(7)).unwrap();
    let mut bad = vec![vec![], good[..63].to_vec(), [&good[..], &[0]].concat(), vec![0; 64]];
    // S + L, which a verifier without a range check takes for S.
    let order =
        super::bytes::<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let (mut longer, mut carry) = (good.clone(), 0);
    for (byte, digit) in longer[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(digit) + carry;
        (*byte, carry) = (u8::try_from(sum & 0xff).unwrap(), sum >> 8);
    }
    bad.push(longer);
    agree::<Ed25519, Ed25519>(&pkcs8, STATEMENT, &bad);
    #[cfg(feature = "aws-lc")]
    agree::<Ed25519, crate::AwsEd25519>(&pkcs8, STATEMENT, &bad);
}

/// How a case of [`SPECCHECK`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The key is refused.
    Key,
    /// The signature is refused.
    Signature,
    /// Both are taken.
    Valid,
}

/// Statement, key, signature of ed25519-speccheck, cases 0 to 10 (Chalkias, Garillot, Nikolaenko, "Taming the many
/// EdDSAs", SSR 2020). In turn: key and R of small order (2 cases), key of small order (2), R of small order (2), both of
/// mixed order where only the verification with cofactor holds and where both hold (1, 1), only with cofactor (1), S
/// above L (2).
const SPECCHECK: [(&str, &str, &str, Ends); 11] = include!("vectors/speccheck.in");

#[test]
fn published_edge_cases_end_alike() {
    for (statement, key, signature, ends) in SPECCHECK {
        let statement: [u8; 32] = super::bytes(statement);
        let signature: [u8; 64] = super::bytes(signature);
        let spki = [&super::bytes::<12>("302a300506032b6570032100")[..], &super::bytes::<32>(key)];
        let spki = spki.concat();
        assert_eq!(end::<Ed25519>(&spki, &statement, &signature), ends, "{key} {signature:02x?}");
        #[cfg(feature = "aws-lc")]
        {
            let other = end::<crate::AwsEd25519>(&spki, &statement, &signature);
            assert_eq!(other, ends, "aws-lc: {key} {signature:02x?}");
        }
    }
}

fn end<S: Scheme>(spki: &[u8], statement: &[u8], signature: &[u8]) -> Ends {
    match S::public(spki) {
        Err(_) => Ends::Key,
        Ok(public) if S::verify(&public, statement, signature) => Ends::Valid,
        Ok(_) => Ends::Signature,
    }
}

/// The list of the second backend is all eight points: different, and each of small order.
#[cfg(feature = "aws-lc")]
#[test]
fn the_points_of_small_order_are_all() {
    let points = crate::aws_lc::SMALL_ORDER;
    for (index, point) in points.iter().enumerate() {
        assert_eq!(crate::PublicKey::from_bytes(point), Err(crate::KeyError::Weak));
        assert!(!points[..index].contains(point));
    }
}
