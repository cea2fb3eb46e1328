//! What a life says of another alternates: Up first, then Down, Up, ... (I8).

/// What is said next of a life that is, or is not, believed alive so far.
///
/// # Errors
/// What was found instead.
#[expect(clippy::fn_params_excessive_bools, reason = "what was believed is yes or no")]
pub fn at_verdict(believed: bool, said: &str) -> Result<(), String> {
    if believed == (said == "down") {
        return Ok(());
    }
    Err(format!(
        "says {said} of a life that it calls {} already",
        if believed { "up" } else { "down" }
    ))
}

#[cfg(test)]
mod tests {
    use super::at_verdict;

    #[test]
    fn only_the_other_word_may_follow() {
        assert!(at_verdict(false, "up").is_ok() && at_verdict(true, "down").is_ok());
        assert!(at_verdict(true, "up").is_err() && at_verdict(false, "down").is_err());
    }
}
