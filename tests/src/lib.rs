//! Conformance, multi-host and end to end tests.
