use formic_core::{Capability, Life, transport::Address};
use serde::{Deserialize, Serialize};

/// The longest name of a peer in bytes.
pub const NAME_MAX: usize = 64;
/// The most capabilities of a peer.
pub const CAPABILITIES_MAX: usize = 256;
/// The most addresses of a peer.
pub const ADDRESSES_MAX: usize = 8;
/// The most labels of a peer.
pub const LABELS_MAX: usize = 32;
/// The longest label in bytes.
pub const LABEL_MAX: usize = 64;
/// The most slots of a peer.
pub const SLOTS_MAX: u32 = 65_536;
/// The most members of a mesh.
pub const MEMBERS_MAX: usize = 4_096;
/// The highest version that is taken from others: there is room to publish above it for ever.
pub(crate) const VERSION_MAX: u64 = u64::MAX / 2;

/// What a peer says about itself. Only its owner writes it; the order of the fields is the order of
/// precedence between two records of one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record {
    /// Whose record.
    pub life: Life,
    /// Raised by its owner with every change.
    pub version: u64,
    /// A name for people.
    pub name: String,
    /// Where the peer can be reached.
    pub addresses: Vec<Address>,
    /// What it can do: sorted, unique.
    pub capabilities: Vec<Capability>,
    /// `key=value` texts that tasks may ask for, e.g. `host=blue`: sorted, unique.
    pub labels: Vec<String>,
    /// How many bodies it runs at once.
    pub slots: u32,
    /// It takes no work any more.
    pub draining: bool,
}

impl Record {
    /// Whether this record replaces `other`, a record of the same peer: higher incarnation, then
    /// higher version. Two values of one version are ordered by value, so that merging stays
    /// order-free whatever a faulty owner sends.
    pub fn supersedes(&self, other: &Self) -> bool {
        self > other
    }

    /// Whether the peer has all of these.
    pub fn can(&self, requires: &[Capability]) -> bool {
        Capability::lacking(&self.capabilities, requires).next().is_none()
    }

    pub(crate) fn check(&self) -> Result<(), Defect> {
        if self.name.len() > NAME_MAX {
            return Err(Defect::Name { bytes: self.name.len() });
        }
        if self.addresses.len() > ADDRESSES_MAX {
            return Err(Defect::Addresses { count: self.addresses.len() });
        }
        if self.addresses.iter().any(|address| address.to_string().len() > 256) {
            return Err(Defect::Address);
        }
        if self.capabilities.len() > CAPABILITIES_MAX {
            return Err(Defect::Capabilities { count: self.capabilities.len() });
        }
        if !self.capabilities.is_sorted_by(|a, b| a < b) {
            return Err(Defect::Unsorted);
        }
        if self.labels.len() > LABELS_MAX {
            return Err(Defect::Labels { count: self.labels.len() });
        }
        let is_label = |label: &String| label.len() <= LABEL_MAX && label.contains('=');
        if !self.labels.iter().all(is_label) || !self.labels.is_sorted_by(|a, b| a < b) {
            return Err(Defect::Label);
        }
        if self.slots > SLOTS_MAX {
            return Err(Defect::Slots { count: self.slots });
        }
        if self.version > VERSION_MAX {
            return Err(Defect::Version { version: self.version });
        }
        Ok(())
    }

    /// An upper bound of its encoded size in bytes, for cutting pages.
    pub(crate) fn size(&self) -> usize {
        let addresses: usize = self.addresses.iter().map(|a| a.to_string().len() + 3).sum();
        let capabilities: usize = self.capabilities.iter().map(|c| c.as_str().len() + 1).sum();
        let labels: usize = self.labels.iter().map(|label| label.len() + 1).sum();
        80 + self.name.len() + addresses + capabilities + labels
    }
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// The name is too long.
    #[error("name has {bytes} bytes, at most 64 are allowed")]
    Name {
        /// Its length.
        bytes: usize,
    },
    /// Too many addresses.
    #[error("{count} addresses, at most 8 are allowed")]
    Addresses {
        /// How many.
        count: usize,
    },
    /// An address is too long.
    #[error("an address has more than 256 bytes")]
    Address,
    /// Too many capabilities.
    #[error("{count} capabilities, at most 256 are allowed")]
    Capabilities {
        /// How many.
        count: usize,
    },
    /// Capabilities not sorted or not unique.
    #[error("capabilities are not sorted and unique")]
    Unsorted,
    /// Too many labels.
    #[error("{count} labels, at most 32 are allowed")]
    Labels {
        /// How many.
        count: usize,
    },
    /// Labels not `key=value` of at most 64 bytes, not sorted or not unique.
    #[error("labels are not sorted and unique `key=value` texts of at most 64 bytes")]
    Label,
    /// A value that does not belong into its slot, or is too large for it.
    #[error("slot {slot} holds another sort of value, or more than 1024 bytes")]
    Slot {
        /// Its number.
        slot: u8,
    },
    /// Too many slots.
    #[error("{count} slots, at most 65536 are allowed")]
    Slots {
        /// How many.
        count: u32,
    },
    /// A version nobody reaches by counting.
    #[error("version {version} is out of reach")]
    Version {
        /// It.
        version: u64,
    },
}
