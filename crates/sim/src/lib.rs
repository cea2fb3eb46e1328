//! Seeded world in virtual time: faults, oracles, replay.
