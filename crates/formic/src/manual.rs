//! The manual: what formic promises and how it is used, one chapter per module.
//!
//! | chapter | answers |
//! |---|---|
//! | [`completion`] | what "done" means, what a certificate proves, what may happen twice |
//! | [`agents`] | how to write an agent in Rust, what a body may and must do |
//! | [`membership`] | who belongs to a mesh, what a cut-off part may decide, how it heals |
//! | [`decisions`] | how results are judged by others, who lied, what a decision proves |
//! | [`plans`] | what a plan may say, how results flow from task to task |
//! | [`routing`] | who gets a task, how peers learn who suits it |
//! | [`transports`] | how peers reach each other, how to choose |
//! | [`state`] | what survives a process, what a state directory holds |

pub mod agents;
pub mod completion;
pub mod decisions;
pub mod membership;
pub mod plans;
pub mod routing;
pub mod state;
pub mod transports;
