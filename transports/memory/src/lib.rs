//! Delivery inside a process.
