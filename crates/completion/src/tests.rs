//! Unit tests: the shipped machine, driven by hand.

use core::time::Duration;
use std::sync::Arc;

use formic_core::{
    Descriptor, Digest, Incarnation, JobId, Key, Life, Outcome, Output, PeerId, Protocol, Time,
};

use crate::{
    Attestation, Certificate, Completion, Config, Decree, Effect, Error, Event, Fact, Input,
    JobSpec, Message, Record, Ruling, Seal, Signal, Spawn, Statement, Tail, Tally, Verdict, Waiter,
};

mod certificate;
mod executor;
mod home;
mod ledger;
mod model;
mod peer;
mod refused;
mod regress;
mod succession;
mod wave;
