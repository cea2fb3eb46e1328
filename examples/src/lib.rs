//! Programs and plans a newcomer runs.
