//! Peers without work say nothing about work: beats and membership only, and few of those.

use core::time::Duration;

/// After the last job and the last quarrel, late acknowledgements may still be on their way. The last job
/// may be one that nobody was promised and that ends long after all others.
pub const SETTLES: Duration = Duration::from_millis(3_000);
/// Then this long is watched.
pub const WATCHED: Duration = Duration::from_millis(1_000);

/// What was said about work in that time, and how often peers woke.
///
/// # Errors
/// More than nothing was said; a peer woke more often than its beats need.
pub fn at_end(work: u64, (wakes, peers): (u64, u64)) -> Result<(), String> {
    if work > 0 {
        return Err(format!("{work} messages about work that is over"));
    }
    // A beat each 100 ms, and one check of silence between two of them.
    let most = 100 * peers;
    if wakes > most {
        return Err(format!("{wakes} wakes of {peers} idle peers in {WATCHED:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::at_end;

    #[test]
    fn a_message_about_work_and_a_busy_loop_are_noticed() {
        assert!(at_end(0, (20, 2)).is_ok());
        assert!(at_end(1, (0, 2)).is_err());
        assert!(at_end(0, (201, 2)).is_err());
    }
}
