//! The binary as a stranger runs it.

mod commands;
mod jobs;
mod mesh;
mod world;
