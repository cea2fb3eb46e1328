use formic_core::Digest;
use proptest::prelude::*;

use super::rsa::{PKCS8, entropy};
use crate::{BindingError, ED25519, KeyBinding, KeyError, RSA_2048, SecretKey, VotingKey};

fn mesh() -> Digest {
    Digest::of(&[b"mesh"])
}

fn voting(scheme: u8, seed: u8) -> VotingKey {
    match scheme {
        RSA_2048 => VotingKey::from_pkcs8_der(RSA_2048, PKCS8).unwrap(),
        _ => VotingKey::generate(ED25519, &mut entropy(seed)).unwrap(),
    }
}

fn bind(identity: u8, serial: u64, key: &VotingKey) -> KeyBinding {
    let identity = SecretKey::from_seed([identity; 32]);
    KeyBinding::sign((mesh(), serial), &identity, key, &mut entropy(9)).unwrap()
}

#[test]
fn both_schemes_travel_in_fixed_widths() {
    for (scheme, length) in [(ED25519, 337), (RSA_2048, 779)] {
        let binding = bind(1, 7, &voting(scheme, 2));
        let bytes = binding.to_bytes();
        assert_eq!(bytes.len(), length);
        assert_eq!(bytes[..16], *b"formic/bind/1\0\0\0");
        assert_eq!(bytes[80], scheme);
        assert_eq!(bytes[81..89], 7u64.to_be_bytes());
        let read = KeyBinding::from_bytes(mesh(), &bytes).unwrap();
        assert_eq!(read, binding);
        assert_eq!(read.voting(), &voting(scheme, 2).public());
        assert_eq!(read.binding().peer, SecretKey::from_seed([1; 32]).public().peer_id());
        let other = KeyBinding::from_bytes(Digest::of(&[b"other"]), &bytes);
        assert_eq!(other, Err(BindingError::Mesh));
    }
}

#[test]
fn every_flipped_bit_every_prefix_and_every_appended_byte_is_refused() {
    let good = bind(1, 7, &voting(ED25519, 2)).to_bytes();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[at] ^= 1 << bit;
            assert!(KeyBinding::from_bytes(mesh(), &changed).is_err(), "byte {at}, bit {bit}");
        }
        let cut = KeyBinding::from_bytes(mesh(), &good[..at]);
        assert_eq!(cut, Err(BindingError::Length { expected: 337, found: at }));
    }
    let longer = KeyBinding::from_bytes(mesh(), &[&good[..], &[0]].concat());
    assert_eq!(longer, Err(BindingError::Length { expected: 337, found: 338 }));
}

/// Nobody binds another one's voting key to himself: its holder has not signed `formic/own/1` for him.
#[test]
fn a_key_is_bound_by_its_holder() {
    let (mine, theirs) = (bind(1, 1, &voting(ED25519, 2)), bind(3, 1, &voting(ED25519, 4)));
    let (mine, theirs) = (mine.to_bytes(), theirs.to_bytes());
    // My statement and signatures with their key: not the key that is signed.
    let stolen = [&mine[..229], &theirs[229..]].concat();
    assert_eq!(KeyBinding::from_bytes(mesh(), &stolen), Err(BindingError::OtherKey));
    // The same signature under the other domain proves nothing.
    let identity = SecretKey::from_seed([1; 32]);
    let twice = VotingKey::from_pkcs8_der(ED25519, &identity.to_pkcs8_der()[..]).unwrap();
    let mut bytes = bind(1, 1, &twice).to_bytes();
    let by_identity: Vec<u8> = bytes[165..229].to_vec();
    bytes[273..].copy_from_slice(&by_identity);
    assert_eq!(KeyBinding::from_bytes(mesh(), &bytes), Err(BindingError::Voting));
}

#[test]
fn two_keys_under_one_serial_are_evidence() {
    let (one, two) = (voting(ED25519, 2), voting(RSA_2048, 0));
    let first = bind(1, 7, &one);
    assert!(first.contradicts(&bind(1, 7, &two)));
    assert!(!first.contradicts(&bind(1, 7, &one)), "said twice");
    assert!(!first.contradicts(&bind(1, 8, &two)), "a new key");
    assert!(!first.contradicts(&bind(3, 7, &two)), "another peer");
}

#[test]
fn an_unknown_scheme_is_named() {
    let mut bytes = bind(1, 7, &voting(ED25519, 2)).to_bytes();
    bytes[80] = 9;
    let unknown = BindingError::Key(KeyError::Scheme { found: 9 });
    assert_eq!(KeyBinding::from_bytes(mesh(), &bytes), Err(unknown));
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
        prop_assert!(KeyBinding::from_bytes(mesh(), &bytes).is_err());
    }
}
