//! No peer accuses or refuses another, because all of them are honest here.

/// What a peer says about another's behaviour.
///
/// # Errors
/// Always: nobody misbehaves.
pub fn at_blame(accused: &str, what: &str) -> Result<(), String> {
    Err(format!("{accused} is honest and accused: {what}"))
}
