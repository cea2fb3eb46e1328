//! What must hold across crates: the wire's frozen bytes (`pure`), and the same peers on every
//! transport (`shell`).
