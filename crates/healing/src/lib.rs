//! Notice loss.
