//! One claim per file, in its first line. Each is told what really happened.

pub mod acked_not_lost;
pub mod never_early;
pub mod nothing_hangs;
pub mod one_verdict;
pub mod quiet_is_quiet;
pub mod replays;
pub mod respawned_in_time;
