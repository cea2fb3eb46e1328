use std::os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener};

use tempfile::TempDir;

use super::*;

fn sha(parts: &[&[u8]]) -> [u8; 32] {
    *Digest::of(parts).as_bytes()
}

#[test]
fn the_hash_is_the_documented_one() {
    let tree = TempDir::new().unwrap();
    let path = tree.path();
    fs::write(path.join("b"), "bytes").unwrap();
    fs::create_dir(path.join("a")).unwrap();
    fs::write(path.join("a/x"), "").unwrap();
    symlink("b", path.join("c")).unwrap();
    fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xff")), "last").unwrap();
    let _socket = UnixListener::bind(path.join("s")).unwrap();
    let inner = sha(&[b"fx\0", &sha(&[])]);
    let whole = sha(&[
        b"da\0",
        &inner,
        b"fb\0",
        &sha(&[b"bytes"]),
        b"lc\0",
        &sha(&[b"b"]),
        b"f\xff\0",
        &sha(&[b"last"]),
    ]);
    let (hash, skipped) = local(path).unwrap();
    assert_eq!(hash, Digest::from_bytes(whole).to_string());
    assert_eq!(skipped, Skipped(1));
}

#[test]
fn an_empty_directory_and_a_deep_one_have_hashes() {
    let tree = TempDir::new().unwrap();
    assert_eq!(local(tree.path()).unwrap().0, Digest::of(&[]).to_string());
    let mut path = tree.path().to_owned();
    let mut expected = sha(&[]);
    for _ in 0..500 {
        path.push("d");
        expected = sha(&[b"dd\0", &expected]);
    }
    fs::create_dir_all(&path).unwrap();
    assert_eq!(local(tree.path()).unwrap().0, Digest::from_bytes(expected).to_string());
}

#[test]
fn what_cannot_be_read_is_named() {
    let error = local(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}
