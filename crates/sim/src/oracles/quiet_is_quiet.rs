//! At the verdict every sealed member is quiet, and a sealed life never works again (I5, I6).

use formic_completion::{Completion, Statement};
use formic_core::{Key, Life};

use crate::Truth;

/// No body runs at a life that the statement calls sealed.
///
/// # Errors
/// What was found instead.
pub fn at_verdict(truth: &Truth, statement: &Statement) -> Result<(), String> {
    for (life, key) in truth.running.keys() {
        if statement.sealed.iter().any(|(sealed, _)| sealed == life) {
            return Err(format!("{life} is called sealed and runs {key}"));
        }
    }
    Ok(())
}

/// Every member that the statement's author had been told of is sealed or excluded, each life by
/// itself; a message may have told it of a later life.
///
/// # Errors
/// What was found instead.
pub fn at_statement(met: &[Life], statement: &Statement) -> Result<(), String> {
    let sealed = statement.sealed.iter().map(|(life, _)| life);
    let listed: Vec<&Life> = sealed.chain(&statement.excluded).collect();
    let covered = |life: &Life| listed.iter().any(|it| it.peer == life.peer && *it >= life);
    match met.iter().find(|life| !covered(life)) {
        Some(life) => Err(format!("{life} was met and is neither sealed nor excluded")),
        None => Ok(()),
    }
}

/// A life that said it is sealed starts no body.
///
/// # Errors
/// What was found instead.
pub fn at_execute(machine: &Completion, life: Life, key: Key) -> Result<(), String> {
    if machine.is_sealed() { Err(format!("{life} is sealed and starts {key}")) } else { Ok(()) }
}
