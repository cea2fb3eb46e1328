//! The binary as a stranger runs it.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod mesh;
#[cfg(test)]
mod votes;
#[cfg(test)]
mod world;
