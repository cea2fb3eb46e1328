//! One claim per file, in its first line. Each is told what really happened.

pub mod acked_not_lost;
pub mod blame_is_just;
pub mod bounded;
pub mod detected_in_time;
pub mod durable_first;
pub mod heals;
pub mod idle_is_silent;
pub mod minority_mute;
pub mod never_early;
pub mod nothing_hangs;
pub mod one_holder;
pub mod one_verdict;
pub mod one_view;
pub mod quiet_is_quiet;
pub mod replays;
pub mod respawned_in_time;
pub mod verdicts_alternate;
