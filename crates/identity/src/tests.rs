mod backends;
mod binding;
mod rsa;
mod ticket;

use formic_core::{ParseIdError, wire};
use proptest::prelude::*;

use crate::{KeyError, PublicKey, SecretKey, Signature};

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(hex.len(), 2 * N);
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    bytes
}

fn flipped<const N: usize>(mut bytes: [u8; N], bit: usize) -> [u8; N] {
    bytes[bit / 8 % N] ^= 1 << (bit % 8);
    bytes
}

/// (seed, public key, statement, signature): RFC 8032, section 7.1, tests 1 and 2.
const RFC8032: [(&str, &str, &[u8], &str); 2] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        b"",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555\
         fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        &[0x72],
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
];

#[test]
fn rfc8032_vectors_hold() {
    for (seed, public, statement, signature) in RFC8032 {
        let secret = SecretKey::from_seed(bytes(seed));
        assert_eq!(secret.public().to_string(), public);
        assert_eq!(secret.sign(statement).to_string(), signature);
        assert!(secret.public().verify(statement, &signature.parse().unwrap()));
    }
}

/// The key pair of RFC 8410, sections 10.1 and 10.3.
#[test]
fn der_is_that_of_rfc8410() {
    let secret = SecretKey::from_seed(bytes(
        "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
    ));
    let pkcs8: [u8; 48] = bytes(
        "302e020100300506032b657004220420\
         d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
    );
    let spki: [u8; 44] = bytes(
        "302a300506032b6570032100\
         19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
    );
    assert_eq!(*secret.to_pkcs8_der(), pkcs8);
    assert_eq!(secret.public().spki_der(), spki);
    assert_eq!(SecretKey::from_pkcs8_der(&pkcs8).unwrap().public(), secret.public());
    assert_eq!(PublicKey::from_spki_der(&spki), Ok(secret.public()));
}

#[test]
fn bytes_that_are_no_key_say_why() {
    let spki = SecretKey::from_seed([1; 32]).public().spki_der();
    let length = |found| Err(KeyError::Length { expected: 44, found });
    assert_eq!(PublicKey::from_spki_der(&[]), length(0));
    assert_eq!(PublicKey::from_spki_der(&spki[..43]), length(43));
    assert_eq!(PublicKey::from_spki_der(&[&spki[..], &[0]].concat()), length(45));
    for position in 0..12 {
        let refused = PublicKey::from_spki_der(&flipped(spki, position * 8));
        assert_eq!(refused, Err(KeyError::Header { position }));
    }
    let pkcs8 = SecretKey::from_seed([1; 32]).to_pkcs8_der();
    assert!(SecretKey::from_pkcs8_der(&pkcs8[..47]).is_err());
    assert!(SecretKey::from_pkcs8_der(&flipped(*pkcs8, 0)).is_err());
}

#[test]
fn another_spelling_of_a_key_is_refused() {
    // y = 3 is a point of large order; p + 3 is the same point spelled in a second way.
    let mut first = [0; 32];
    first[0] = 3;
    assert!(PublicKey::from_bytes(&first).is_ok());
    let mut second = [0xff; 32];
    second[0] = 0xed + 3;
    second[31] = 0x7f;
    assert_eq!(PublicKey::from_bytes(&second), Err(KeyError::Point));
    // y = 1 has x = 0, whose sign bit must be 0.
    let mut negative_zero = [0; 32];
    negative_zero[0] = 1;
    negative_zero[31] = 0x80;
    assert_eq!(PublicKey::from_bytes(&negative_zero), Err(KeyError::Point));
    // y = 2 is no point of the curve.
    first[0] = 2;
    assert_eq!(PublicKey::from_bytes(&first), Err(KeyError::Point));
}

#[test]
fn weak_keys_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let order_8 = bytes("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
    for weak in [[0; 32], identity, order_8] {
        assert_eq!(PublicKey::from_bytes(&weak), Err(KeyError::Weak));
    }
}

#[test]
fn a_secret_shows_nothing() {
    let secret = SecretKey::from_seed([0xab; 32]);
    let shown = format!("{secret:?} {secret:#?}");
    assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    assert!(shown.contains(&secret.public().peer_id().short()));
}

#[test]
fn a_bad_signature_text_says_what_is_wrong() {
    let refused = |text: &str| text.parse::<Signature>().unwrap_err();
    assert_eq!(refused("ab"), ParseIdError::Length { expected: 128, found: 2 });
    let late = format!("{}x{}", "0".repeat(100), "0".repeat(27));
    assert_eq!(refused(&late), ParseIdError::Digit { position: 100 });
    assert_eq!(refused(&"é".repeat(64)), ParseIdError::Digit { position: 0 });
}

#[test]
fn a_weak_key_is_refused_when_decoded() {
    let weak = wire::encode(&[0u8; 32]).unwrap();
    assert_eq!(wire::decode::<PublicKey>(&weak), Err(wire::WireError::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_flipped_bit_is_refused(
        seed: [u8; 32],
        statement in prop::collection::vec(any::<u8>(), 1..64),
        bit in 0usize..4096,
    ) {
        let secret = SecretKey::from_seed(seed);
        let public = secret.public();
        let signature = secret.sign(&statement);
        prop_assert!(public.verify(&statement, &signature));

        let mut other = statement.clone();
        other[bit / 8 % statement.len()] ^= 1 << (bit % 8);
        prop_assert!(!public.verify(&other, &signature));

        let forged = Signature::from_bytes(flipped(*signature.as_bytes(), bit));
        prop_assert!(!public.verify(&statement, &forged));

        if let Ok(stranger) = PublicKey::from_spki_der(&flipped(public.spki_der(), bit)) {
            prop_assert_ne!(stranger.peer_id(), public.peer_id());
            prop_assert!(!stranger.verify(&statement, &signature));
        }
    }

    #[test]
    fn what_is_encoded_decodes(seed: [u8; 32], statement: [u8; 8]) {
        let secret = SecretKey::from_seed(seed);
        let signature = secret.sign(&statement);
        let encoded = wire::encode(&(secret.public(), signature)).unwrap();
        prop_assert_eq!(encoded.len(), 32 + 64);
        prop_assert_eq!(wire::decode(&encoded), Ok((secret.public(), signature)));
        prop_assert_eq!(signature.to_string().parse(), Ok(signature));
    }
}
