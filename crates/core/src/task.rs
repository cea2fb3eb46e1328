//! Tasks as every crate sees them: what to do, and how it ended.

use core::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The largest inline value of a task, in bytes. Larger results go to files.
pub const VALUE_MAX: usize = 4_096;

/// The largest payload and recipe of a task together, in bytes.
pub const DESCRIPTOR_MAX: usize = 256 * 1_024;

/// What a peer can do: a name of 1 to 64 bytes of `a-z 0-9 . _ / -`, optionally with a version:
/// `rust`, `rust@1.80`.
///
/// Offered, a plain name means version 1.0. Wanted, it means any version, and `rust@1.80` means the
/// same major version and at least that minor one.
///
/// ```
/// use formic_core::Capability;
/// let offered: Capability = "rust@1.85".parse()?;
/// assert!(offered.serves(&"rust@1.80".parse()?) && offered.serves(&"rust".parse()?));
/// assert!(!offered.serves(&"rust@2.0".parse()?));
/// # Ok::<(), formic_core::BadCapability>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability(String);

/// Why a text names no capability. The fault of whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no capability: expected 1 to 64 of a-z 0-9 . _ / -, then @MAJOR.MINOR or nothing"
)]
pub struct BadCapability {
    /// The refused text, at most 80 characters of it.
    pub text: String,
}

impl Capability {
    /// The text: the name, and the version if it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the version.
    pub fn name(&self) -> &str {
        self.0.split_once('@').map_or(&self.0, |(name, _)| name)
    }

    /// Major and minor version; `None` if the text has none.
    pub fn version(&self) -> Option<(u16, u16)> {
        self.0.split_once('@').and_then(|(_, version)| parse_version(version))
    }

    /// The version that this text offers: 1.0 if it has none.
    pub fn offers(&self) -> (u16, u16) {
        self.version().unwrap_or((1, 0))
    }

    /// Whether a peer that offers this serves one that wants `wanted`.
    pub fn serves(&self, wanted: &Self) -> bool {
        let (major, minor) = self.offers();
        let suffices = |(m, n)| m == major && n <= minor;
        self.name() == wanted.name() && wanted.version().is_none_or(suffices)
    }

    /// Those of `wanted` that nothing in `offered` serves. O(offered x wanted).
    pub fn lacking<'a>(
        offered: &'a [Self],
        wanted: &'a [Self],
    ) -> impl Iterator<Item = &'a Self> + 'a {
        wanted.iter().filter(|wanted| !offered.iter().any(|offered| offered.serves(wanted)))
    }
}

/// One text per version: no signs, no leading zeros, so that equal capabilities are equal texts.
fn parse_version(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let short = text.len() == 1 || !text.starts_with('0');
        if plain && short { text.parse::<u16>().ok() } else { None }
    };
    let (major, minor) = text.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

impl FromStr for Capability {
    type Err = BadCapability;
    fn from_str(text: &str) -> Result<Self, BadCapability> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._/-".contains(c);
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, parse_version(version).is_some()),
            None => (text, true),
        };
        if !version || name.is_empty() || name.len() > 64 || !name.chars().all(known) {
            return Err(BadCapability { text: text.chars().take(80).collect() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Capability {
    type Error = BadCapability;
    fn try_from(text: String) -> Result<Self, BadCapability> {
        text.parse()
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be done. Opaque to the protocols except for `requires`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    /// What sort of work, e.g. `hash`. Kinds that start with `formic/` are the mesh's own.
    pub kind: String,
    /// A name for people, e.g. the plan's task name or a path.
    pub name: String,
    /// Capabilities the executing peer must have: sorted, unique. Empty: any peer will do.
    pub requires: Vec<Capability>,
    /// What the agent gets: JSON text for the shipped adapters.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// How to run it where the peer has no agent of its own for it: JSON of `formic::Recipe`, or empty.
    /// Children inherit it from their parent.
    #[serde(with = "serde_bytes")]
    pub recipe: Vec<u8>,
    /// How long one execution may take; `None`: the agent's own limit.
    pub wall: Option<Duration>,
    /// One valid attempt at a time, by a lease of this length: how long the others wait when its holder is
    /// gone. `None`: any number of attempts may run (healing.md 7).
    pub exclusive: Option<Duration>,
}

impl Descriptor {
    /// SHA-256 over all fields, length-prefixed; part of the task's [`Key`](crate::Key).
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(self.payload.len() + self.recipe.len() + 256);
        let mut field = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        field(b"formic/descriptor/1");
        field(self.kind.as_bytes());
        field(self.name.as_bytes());
        field(&self.payload);
        field(&self.recipe);
        let wall_us = self.wall.map_or(u128::MAX, |wall| wall.as_micros());
        field(&wall_us.to_be_bytes());
        let lease_us = self.exclusive.map_or(u128::MAX, |lease| lease.as_micros());
        field(&lease_us.to_be_bytes());
        for capability in &self.requires {
            field(capability.as_str().as_bytes());
        }
        Digest::of(&[&bytes])
    }
}

/// A file a task produced, on storage that the readers share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputFile {
    /// The name the plan gave it.
    pub name: String,
    /// Where it lies: an absolute path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// What a task produced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Output {
    /// JSON text, at most [`VALUE_MAX`] bytes.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
    /// Declared output files, sorted by name, unique.
    pub files: Vec<OutputFile>,
}

/// What a task is an example of: trails are kept, and tasks probed for, per kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind(pub u64);

impl Kind {
    /// The first 8 bytes of the SHA-256 of the name, as [`Descriptor::kind`] has it.
    ///
    /// ```
    /// use formic_core::Kind;
    /// assert_eq!(Kind::of("review"), Kind::of("review"));
    /// assert_ne!(Kind::of("review"), Kind::of("plan"));
    /// ```
    pub fn of(name: &str) -> Self {
        let digest = Digest::of(&[name.as_bytes()]);
        let bytes = digest.as_bytes().iter().take(8);
        Self(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({:016x})", self.0)
    }
}

/// How an execution ended. A fact: the first one to reach the ledger is the task's result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The agent did it.
    Ok(Output),
    /// The agent said it cannot, died, or broke its protocol. Never retried silently.
    Failed(Failure),
    /// A limit was hit, e.g. `wall`.
    Expired {
        /// Which limit, and its value.
        reason: String,
    },
    /// Nobody wants the result any more.
    Cancelled {
        /// Who or what cancelled it.
        reason: String,
    },
}

impl Outcome {
    /// A failure with `code` and `message`, not retryable.
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::Failed(Failure { code: code.to_owned(), message: message.into(), retryable: false })
    }

    /// Whether the task did what it was asked to.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// One word for events and reports: `ok`, `failed`, `expired`, `cancelled`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Failed(_) => "failed",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// SHA-256 over variant and fields, length-prefixed. Equal results have equal digests.
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        let mut field = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        field(b"formic/outcome/1");
        field(self.word().as_bytes());
        match self {
            Self::Ok(output) => {
                field(&output.value);
                for file in &output.files {
                    field(file.name.as_bytes());
                    field(file.digest.as_bytes());
                }
            }
            Self::Failed(failure) => {
                field(failure.code.as_bytes());
                field(failure.message.as_bytes());
            }
            Self::Expired { reason } | Self::Cancelled { reason } => field(reason.as_bytes()),
        }
        Digest::of(&[&bytes])
    }
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// A short word for programs: `failed`, `crashed`, `panicked`, `protocol`, `flood`, ...
    pub code: String,
    /// A sentence for people, at most 1,024 bytes.
    pub message: String,
    /// Whether the agent thinks another try may succeed.
    pub retryable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_checked() {
        assert_eq!("rust/1.80".parse::<Capability>().map(String::from), Ok("rust/1.80".into()));
        assert_eq!("rust@1.80".parse::<Capability>().map(|c| c.version()), Ok(Some((1, 80))));
        let long = "x".repeat(65);
        let versions =
            ["a@", "a@1", "a@1.", "a@1.x", "a@+1.0", "a@01.0", "a@1.65536", "@1.0", "a@1.0@1.0"];
        for bad in ["", "Hash", "a b", &long].into_iter().chain(versions) {
            assert!(bad.parse::<Capability>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_capability_serves_older_minor_versions_of_its_major_one() {
        let parse = |text: &str| text.parse::<Capability>().unwrap();
        let serves = |offered, wanted| parse(offered).serves(&parse(wanted));
        assert!(serves("rust@1.80", "rust@1.80") && serves("rust@1.81", "rust@1.80"));
        assert!(serves("rust@2.3", "rust") && serves("rust", "rust@1.0"));
        assert!(!serves("rust@1.79", "rust@1.80") && !serves("rust@2.90", "rust@1.80"));
        assert!(
            !serves("rust", "rust@1.1")
                && !serves("rusty", "rust")
                && !serves("rust@0.9", "rust@1.0")
        );
        let (offered, wanted) = ([parse("rust@1.80")], [parse("gpu"), parse("rust")]);
        assert_eq!(Capability::lacking(&offered, &wanted).collect::<Vec<_>>(), [&wanted[0]]);
    }

    #[test]
    fn digests_depend_on_every_field() {
        let base = Descriptor {
            kind: "k".into(),
            name: "n".into(),
            requires: vec![],
            payload: b"p".to_vec(),
            recipe: vec![],
            wall: None,
            exclusive: None,
        };
        let digest = base.digest();
        let others = [
            Descriptor { kind: "kn".into(), name: String::new(), ..base.clone() },
            Descriptor { requires: "a".parse().into_iter().collect(), ..base.clone() },
            Descriptor { payload: vec![], recipe: b"p".to_vec(), ..base.clone() },
            Descriptor { wall: Some(Duration::ZERO), ..base.clone() },
            Descriptor { exclusive: Some(Duration::ZERO), ..base.clone() },
        ];
        assert!(others.iter().all(|other| other.digest() != digest));
        assert_ne!(
            Outcome::Expired { reason: "x".into() }.digest(),
            Outcome::Cancelled { reason: "x".into() }.digest()
        );
    }
}
