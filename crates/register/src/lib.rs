//! Agree on one value among a majority that may crash.
