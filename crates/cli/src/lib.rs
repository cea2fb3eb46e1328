//! The formic binary.
