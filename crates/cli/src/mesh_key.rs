//! Membership of a mesh beyond one host, as files: who its authority is, and what a member shows.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use core::time::Duration;

use formic_identity::{PublicKey, SecretKey};
use formic_quic::{Authority, Membership};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::{exit::Stop, link::chain};

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

pub(crate) fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    pairs.map(byte).collect()
}

fn seed(text: &str) -> Option<SecretKey> {
    let seed: [u8; 32] = unhex(text)?.try_into().ok()?;
    Some(SecretKey::from_seed(seed))
}

/// A peer's public key, as `formic ca key` prints it.
///
/// # Errors
/// What was expected.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    let bytes: Option<[u8; 32]> = unhex(text).and_then(|bytes| bytes.try_into().ok());
    let key = bytes.and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
    key.ok_or_else(|| {
        "expected the 64 hex digits that `formic ca key --state DIR` prints".to_owned()
    })
}

/// 32 bytes from the system.
///
/// # Errors
/// It has none.
pub(crate) fn random_seed() -> Result<[u8; 32], Stop> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Stop::usage)?;
    Ok(seed)
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
    let seed = random_seed()?;
    Authority::new(SecretKey::from_seed(seed), valid).map_err(Stop::usage)?;
    let (format, secret, valid_until) = (AUTHORITY.to_owned(), hex(&seed), until(valid));
    let file = AuthorityFile { format, secret, valid_until };
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
    let secret = seed(&file.secret).ok_or_else(|| bad(&"`secret` is no key"))?;
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
    pub(crate) fn write(&self, path: &Path, secret: Option<[u8; 32]>) -> Result<(), Stop> {
        let file = MemberFile {
            format: MEMBER.to_owned(),
            peer: self.membership.peer().to_string(),
            root: hex(self.membership.root()),
            certificate: hex(self.membership.certificate()),
            valid_until: self.valid_until,
            secret: secret.map(|seed| hex(&seed)),
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
        let (Some(root), Some(certificate)) = (unhex(&file.root), unhex(&file.certificate)) else {
            return Err(bad(&"`root` or `certificate` is not hex"));
        };
        let membership = Membership::new(root, certificate).map_err(|error| bad(&chain(&error)))?;
        let secret = match file.secret {
            Some(text) => Some(seed(&text).ok_or_else(|| bad(&"`secret` is no key"))?),
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
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn member(dir: &Path) -> (MeshKey, [u8; 32]) {
        found(&dir.join("authority"), HOUR * 24).unwrap();
        let authority = authority(&dir.join("authority")).unwrap();
        let seed = [7; 32];
        let key = SecretKey::from_seed(seed).public();
        let membership = authority.admit(&key, HOUR).unwrap();
        (MeshKey { membership, valid_until: until(HOUR), secret: None }, seed)
    }

    #[test]
    fn what_is_written_is_read_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (key, seed) = member(dir.path());
        let path = dir.path().join("client");
        key.write(&path, Some(seed)).unwrap();
        let read = MeshKey::read(&path).unwrap();
        assert_eq!(read.membership, key.membership);
        assert_eq!(read.secret.unwrap().public().peer_id(), key.membership.peer());
        let again = key.write(&path, None).unwrap_err();
        assert!(again.message.contains("not overwritten"), "{again}");
        assert!(found(&dir.path().join("authority"), HOUR).is_err());
    }

    #[test]
    fn damage_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (key, seed) = member(dir.path());
        let path = dir.path().join("client");
        key.write(&path, Some(seed)).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let other = hex(&[8; 32]);
        for (from, to) in [
            (MEMBER, "formic/mesh-key/9"),
            ("\"root\": \"", "\"root\": \"zz"),
            ("\"certificate\": \"30", "\"certificate\": \"31"),
            (hex(&seed).as_str(), &other),
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
        let MeshKey { membership, .. } = key;
        let old = dir.path().join("old");
        MeshKey { membership, valid_until: 1, secret: None }.write(&old, None).unwrap();
        assert!(MeshKey::read(&old).unwrap_err().message.ends_with("its time is over"));
    }
}
