//! Criterion benches and comparators.
