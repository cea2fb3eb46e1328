//! Membership of a mesh beyond one host, as files: who its authority is, and what a member shows.

use core::time::Duration;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use formic_identity::{PublicKey, SecretKey};
use formic_quic::{Authority, Membership};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{exit::Stop, hex, link::chain};

const AUTHORITY: &str = "formic/authority/1";
const MEMBER: &str = "formic/mesh-key/1";

/// What a member shows, and with what a client proves that it is one.
#[derive(Clone, Debug)]
pub(crate) struct MeshKey {
    pub(crate) membership: Membership,
    /// Seconds since 1970.
    pub(crate) valid_until: u64,
    /// Only of clients: a peer's key stays in its state directory.
    pub(crate) secret: Option<SecretKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFile {
    format: String,
    peer: String,
    root: String,
    certificate: String,
    /// Seconds since 1970, as in the certificate.
    valid_until: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityFile {
    format: String,
    secret: String,
    /// Seconds since 1970: no certificate of a member is valid for longer.
    valid_until: u64,
}

fn secret(text: &str) -> Option<SecretKey> {
    SecretKey::from_pkcs8_der(&hex::decode(text).ok()?).ok()
}

/// A peer's public key, as `formic ca key` prints it.
///
/// # Errors
/// What was expected.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    let bytes: Option<[u8; 32]> = hex::decode(text).ok().and_then(|it| it.try_into().ok());
    let key = bytes.and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
    key.ok_or_else(|| {
        "expected the 64 hex digits that `formic ca key --state DIR` prints".to_owned()
    })
}

/// A fresh key.
///
/// # Errors
/// The system has no randomness to give.
pub(crate) fn fresh() -> Result<SecretKey, Stop> {
    Ok(crate::link::identity()?.secret().clone())
}

/// Writes a file that only its owner reads. An existing one is never overwritten.
///
/// # Errors
/// Exit 2.
fn write_new(path: &Path, text: &str) -> Result<(), Stop> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return exists(path);
        }
        // Half a file would be in the way of the next try.
        fs::remove_file(path).ok();
        Stop::usage(format!("{}: {error}", path.display()))
    })
}

pub(crate) fn exists(path: &Path) -> Stop {
    Stop::usage(format!("{}: exists already and is not overwritten", path.display()))
}

/// Seconds since 1970 from now on.
pub(crate) fn until(valid: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_add(valid).as_secs()
}

fn read(path: &Path) -> Result<String, Stop> {
    fs::read_to_string(path).map_err(|error| Stop::usage(format!("{}: {error}", path.display())))
}

fn damaged(path: &Path, what: impl core::fmt::Display, made_by: &str) -> Stop {
    Stop::usage(format!("{}: {what}; expected a file of `{made_by}`", path.display()))
}

/// What is left of a time that was written down.
pub(crate) fn rest(until: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(until).saturating_sub(now)
}

/// Makes an authority with a fresh key and keeps it in a new file.
///
/// # Errors
/// Exit 2.
pub(crate) fn found(path: &Path, valid: Duration) -> Result<(), Stop> {
    let key = fresh()?;
    let secret = hex::encode(&*key.to_pkcs8_der());
    Authority::new(key, valid).map_err(Stop::usage)?;
    let file = AuthorityFile { format: AUTHORITY.to_owned(), secret, valid_until: until(valid) };
    write_new(path, &json(&file)?)
}

/// # Errors
/// Exit 2: no such file, damaged, or its time is over.
pub(crate) fn authority(path: &Path) -> Result<Authority, Stop> {
    let bad = |what: &dyn core::fmt::Display| damaged(path, what, "formic ca init");
    let file: AuthorityFile = serde_json::from_str(&read(path)?).map_err(|error| bad(&error))?;
    if file.format != AUTHORITY {
        return Err(bad(&format!("the format is {:?}", file.format)));
    }
    let secret = secret(&file.secret).ok_or_else(|| bad(&"`secret` is no key"))?;
    let rest = rest(file.valid_until);
    if rest.is_zero() {
        return Err(Stop::usage(format!("{}: its time is over", path.display())));
    }
    Authority::new(secret, rest).map_err(Stop::usage)
}

impl MeshKey {
    /// Writes it to a new file.
    ///
    /// # Errors
    /// Exit 2.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Stop> {
        let file = MemberFile {
            format: MEMBER.to_owned(),
            peer: self.membership.peer().to_string(),
            root: hex::encode(self.membership.root()),
            certificate: hex::encode(self.membership.certificate()),
            valid_until: self.valid_until,
            secret: self.secret.as_ref().map(|key| hex::encode(&*key.to_pkcs8_der())),
        };
        write_new(path, &json(&file)?)
    }

    /// # Errors
    /// Exit 2: no such file, or damaged.
    pub(crate) fn read(path: &Path) -> Result<Self, Stop> {
        let bad = |what: &dyn core::fmt::Display| {
            let file = damaged(path, what, "formic ca issue");
            Stop::usage(format!("--mesh-key {}", file.message))
        };
        let text =
            read(path).map_err(|stop| Stop::usage(format!("--mesh-key {}", stop.message)))?;
        let file: MemberFile = serde_json::from_str(&text).map_err(|error| bad(&error))?;
        if file.format != MEMBER {
            return Err(bad(&format!("the format is {:?}", file.format)));
        }
        let (Ok(root), Ok(certificate)) = (hex::decode(&file.root), hex::decode(&file.certificate))
        else {
            return Err(bad(&"`root` or `certificate` is not hex"));
        };
        let membership = Membership::new(root, certificate).map_err(|error| bad(&chain(&error)))?;
        let secret = match file.secret {
            Some(text) => Some(secret(&text).ok_or_else(|| bad(&"`secret` is no key"))?),
            None => None,
        };
        let owned = secret.as_ref().is_none_or(|key| key.public().peer_id() == membership.peer());
        if file.peer != membership.peer().to_string() || !owned {
            return Err(bad(&"its parts are of different peers"));
        }
        if rest(file.valid_until).is_zero() {
            return Err(Stop::usage(format!("--mesh-key {}: its time is over", path.display())));
        }
        Ok(Self { membership, valid_until: file.valid_until, secret })
    }
}

/// The lock ends with the process.
static TAKEN: Mutex<Option<File>> = Mutex::new(None);

/// Takes a client's file for as long as this process runs: of two clients with one key the mesh would serve the later.
///
/// # Errors
/// Exit 2: another process uses it.
pub(crate) fn take(path: &Path) -> Result<(), Stop> {
    let file = File::open(path).map_err(|error| Stop::usage(format!("--mesh-key: {error}")))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Stop::usage(format!(
            "--mesh-key {}: another client of this host uses it: make one for each that runs at once",
            path.display()
        ))
    })?;
    *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    Ok(())
}

fn json(file: &impl Serialize) -> Result<String, Stop> {
    serde_json::to_string_pretty(file).map(|text| text + "\n").map_err(Stop::usage)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A client of an authority, and its file.
    fn client(dir: &Path) -> (MeshKey, PathBuf) {
        found(&dir.join("authority"), HOUR * 24).unwrap();
        let authority = authority(&dir.join("authority")).unwrap();
        let secret = SecretKey::from_seed([7; 32]);
        let membership = authority.admit(&secret.public(), HOUR).unwrap();
        let key = MeshKey { membership, valid_until: until(HOUR), secret: Some(secret) };
        let path = dir.join("client");
        key.write(&path).unwrap();
        (key, path)
    }

    #[test]
    fn what_is_written_is_read_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (key, path) = client(dir.path());
        let read = MeshKey::read(&path).unwrap();
        assert_eq!(read.membership, key.membership);
        assert_eq!(read.secret.unwrap().public().peer_id(), key.membership.peer());
        let again = key.write(&path).unwrap_err();
        assert!(again.message.contains("not overwritten"), "{again}");
        assert!(found(&dir.path().join("authority"), HOUR).is_err());
    }

    #[test]
    fn damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (key, path) = client(dir.path());
        let good = fs::read_to_string(&path).unwrap();
        let of = |seed| hex::encode(&*SecretKey::from_seed([seed; 32]).to_pkcs8_der());
        let (own, other) = (of(7), of(8));
        for (from, to) in [
            (MEMBER, "formic/mesh-key/9"),
            ("\"root\": \"", "\"root\": \"zz"),
            ("\"certificate\": \"30", "\"certificate\": \"31"),
            (&own, &other),
            ("}", ""),
            ("\"peer\"", "\"pear\""),
        ] {
            assert!(good.contains(from), "{from}");
            fs::write(&path, good.replace(from, to)).unwrap();
            let stop = MeshKey::read(&path).unwrap_err();
            assert!(stop.message.starts_with("--mesh-key "), "{stop}");
            assert!(stop.message.ends_with("expected a file of `formic ca issue`"), "{stop}");
        }
        assert!(authority(&path).is_err());
        let old = dir.path().join("old");
        MeshKey { valid_until: 1, ..key }.write(&old).unwrap();
        assert!(MeshKey::read(&old).unwrap_err().message.ends_with("its time is over"));
    }
}
