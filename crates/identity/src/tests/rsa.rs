//! The one acceptance set of RSA: what is refused is built here, by hand, on purpose.

use super::flipped;
use crate::{ED25519, Entropy, KeyError, RSA_2048, Rsa2048, Scheme, VotingKey, VotingPublicKey};

/// Made by OpenSSL 3.0 (`genpkey`, `pkcs8 -topk8`, `pkey -pubout`, `dgst -sha256 -sign`): a third implementation.
pub(super) const PKCS8: &[u8] = include_bytes!("vectors/rsa2048.pk8");
pub(super) const SPKI: &[u8; 294] = include_bytes!("vectors/rsa2048.spki");
pub(super) const SIGNATURE: &[u8; 256] = include_bytes!("vectors/rsa2048.sig");
pub(super) const STATEMENT: &[u8] = b"formic/example/1: done";

pub(super) fn entropy(seed: u8) -> Entropy {
    Entropy::from_seed([seed; 32])
}

#[test]
fn openssl_and_we_mean_the_same_key_and_signature() {
    let secret = Rsa2048::secret(PKCS8).unwrap();
    assert_eq!(Rsa2048::pkcs8(&secret).unwrap()[..], *PKCS8);
    let public = Rsa2048::public_of(&secret);
    assert_eq!(Rsa2048::spki(&public), SPKI);
    assert_eq!(Rsa2048::public(SPKI).unwrap(), public);
    assert!(Rsa2048::verify(&public, STATEMENT, SIGNATURE));
    // Deterministic: blinded by two different draws, the same bytes.
    for seed in [1, 2] {
        let signature = Rsa2048::sign(&secret, STATEMENT, &mut entropy(seed)).unwrap();
        assert_eq!(signature, SIGNATURE);
    }
}

#[test]
fn a_seed_is_a_key() {
    let one = VotingKey::generate(RSA_2048, &mut entropy(3)).unwrap();
    let again = VotingKey::generate(RSA_2048, &mut entropy(3)).unwrap();
    let other = VotingKey::generate(RSA_2048, &mut entropy(4)).unwrap();
    assert_eq!(one.to_pkcs8_der().unwrap(), again.to_pkcs8_der().unwrap());
    assert_ne!(one.public(), other.public());
    let read = VotingKey::from_pkcs8_der(RSA_2048, &one.to_pkcs8_der().unwrap()).unwrap();
    assert_eq!(read.public(), one.public());
    let signature = read.sign(b"x", &mut entropy(5)).unwrap();
    assert!(one.public().verify(b"x", &signature) && !other.public().verify(b"x", &signature));
}

#[test]
fn one_key_has_one_encoding() {
    let refused = |spki: &[u8]| Rsa2048::public(spki).unwrap_err();
    let length = |found| KeyError::Length { expected: 294, found };
    assert_eq!(refused(&SPKI[..293]), length(293));
    assert_eq!(refused(&[&SPKI[..], &[0]].concat()), length(295));
    for position in (0..33).chain(289..294) {
        assert_eq!(refused(&flipped(*SPKI, position * 8)), KeyError::Header { position });
    }
    // 2047 bits, and an even modulus.
    assert_eq!(refused(&flipped(*SPKI, 33 * 8 + 7)), KeyError::Modulus);
    assert_eq!(refused(&flipped(*SPKI, 288 * 8)), KeyError::Modulus);
    // The length of the outer sequence spelled with one more byte (BER): another length of the whole.
    let ber = [&[0x30, 0x83, 0, 1, 0x22], &SPKI[4..]].concat();
    assert_eq!(refused(&ber), length(295));
    // Parameters left out instead of NULL, as some write them: 292 bytes.
    let bare = [&SPKI[..17], &SPKI[19..]].concat();
    assert_eq!(refused(&bare), length(292));
}

#[test]
fn a_secret_file_has_one_spelling() {
    for at in (0..PKCS8.len()).step_by(3) {
        let mut changed = PKCS8.to_vec();
        changed[at] ^= 1;
        assert!(Rsa2048::secret(&changed).is_err(), "byte {at}");
    }
    assert!(Rsa2048::secret(&PKCS8[..PKCS8.len() - 1]).is_err());
    assert!(Rsa2048::secret(&[PKCS8, &[0]].concat()).is_err());
    let long = Rsa2048::secret(&[0; 2_049]).unwrap_err();
    assert_eq!(long, KeyError::Length { expected: 2_048, found: 2_049 });
}

/// `n + signature` as a big-endian number of 257 bytes, if it has a 257th.
fn plus_modulus(signature: &[u8; 256], modulus: &[u8]) -> (u8, [u8; 256]) {
    let (mut sum, mut carry) = ([0; 256], 0);
    for at in (0..256).rev() {
        let digit = u16::from(signature[at]) + u16::from(modulus[at]) + carry;
        (sum[at], carry) = (u8::try_from(digit & 0xff).unwrap(), digit >> 8);
    }
    (u8::try_from(carry).unwrap(), sum)
}

/// Signatures that a lax verifier takes: the same number modulo n, other lengths, other paddings.
pub(super) fn bad_signatures() -> Vec<Vec<u8>> {
    let modulus = &SPKI[33..289];
    let (carry, sum) = plus_modulus(SIGNATURE, modulus);
    let mut bad = vec![
        vec![],
        SIGNATURE[..255].to_vec(),
        SIGNATURE[1..].to_vec(),
        [&SIGNATURE[..], &[0]].concat(),
        [&[0], &SIGNATURE[..]].concat(),
        [&[carry], &sum[..]].concat(),
        sum.to_vec(),
        modulus.to_vec(),
        vec![0; 256],
        [&[0; 255][..], &[1]].concat(),
        vec![0xff; 256],
    ];
    // n - 1, whose power is n - 1.
    let mut minus_one = modulus.to_vec();
    minus_one[255] -= 1;
    bad.push(minus_one);
    bad
}

#[test]
fn a_signature_is_256_bytes_below_the_modulus() {
    let public = Rsa2048::public(SPKI).unwrap();
    for (index, bad) in bad_signatures().into_iter().enumerate() {
        assert!(!Rsa2048::verify(&public, STATEMENT, &bad), "{index}");
    }
    assert!(!Rsa2048::verify(&public, b"formic/example/1: gone", SIGNATURE));
}

/// A smaller number of the same class modulo n would verify in a backend: only the comparison refuses it, so it is
/// tested with a modulus whose double still has 2048 bits of room.
#[test]
fn the_comparison_with_the_modulus_is_ours() {
    let mut spki = *SPKI;
    spki[33..289].fill(0);
    (spki[33], spki[288]) = (0x80, 1);
    let modulus = crate::rsa2048::Modulus::from_spki(&spki).unwrap();
    let mut number = [0; 256];
    (number[0], number[255]) = (0x80, 0);
    assert!(modulus.admits(&number));
    number[255] = 1;
    assert!(!modulus.admits(&number));
    number[255] = 2;
    assert!(!modulus.admits(&number));
}

#[test]
fn secrets_are_never_shown() {
    let key = VotingKey::from_pkcs8_der(RSA_2048, PKCS8).unwrap();
    let shown = format!("{key:?} {:?} {:#?}", Rsa2048::secret(PKCS8).unwrap(), entropy(0xab));
    let public = key.public().digest().short();
    let parts = [
        format!("VotingKey(of VotingPublicKey(2, {public}))"),
        format!("RsaSecret(of {public})"),
        "Entropy".to_owned(),
    ];
    assert_eq!(shown, parts.join(" "));
}

#[test]
fn another_scheme_is_refused() {
    let unknown = |found| KeyError::Scheme { found };
    for found in [0, 3, 255] {
        assert_eq!(VotingPublicKey::from_spki_der(found, SPKI), Err(unknown(found)));
        assert_eq!(VotingKey::from_pkcs8_der(found, PKCS8).unwrap_err(), unknown(found));
        assert_eq!(VotingKey::generate(found, &mut entropy(1)).unwrap_err(), unknown(found));
    }
    let length = KeyError::Length { expected: 44, found: 294 };
    assert_eq!(VotingPublicKey::from_spki_der(ED25519, SPKI), Err(length));
}

#[test]
fn entropy_is_its_seeds_alone() {
    use rand_core::Rng as _;
    let mut bytes = [0; 40];
    entropy(1).fill_bytes(&mut bytes);
    let (mut again, mut words) = (entropy(1), vec![]);
    words.extend(again.next_u64().to_le_bytes());
    words.extend(again.next_u32().to_le_bytes());
    words.resize(40, 0);
    again.fill_bytes(&mut words[12..]);
    assert_eq!(words, bytes);
    let mut other = [0; 40];
    entropy(2).fill_bytes(&mut other);
    assert!(bytes[..8] != other[..8] && bytes[..8] != bytes[32..]);
}
