//! Compose the protocols into one peer, still pure.

mod effect;
mod input;
mod message;
mod record;
mod status;

pub use effect::{Effect, Event};
pub use input::Input;
pub use message::{Message, Reply, Request};
pub use record::Record;
pub use status::{JobStatus, MemberStatus, Status};
