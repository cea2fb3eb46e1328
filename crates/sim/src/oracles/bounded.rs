//! Nothing grows without bound: slots, inboxes, effects of one input, events on their way.

/// Inputs that wait for a peer at most; a peer that stands still for 6 s hears 60 beats of each.
pub const INBOX_MAX: usize = 20_000;
/// Effects of one input at most.
pub const EFFECTS_MAX: usize = 5_000;
/// Events on their way in the whole world at most.
pub const EVENTS_MAX: usize = 200_000;
/// Events of one run at most.
pub const STEPS_MAX: u64 = 8_000_000;

/// A count within its limit.
///
/// # Errors
/// It is above.
pub fn at_count(what: &str, count: usize, limit: usize) -> Result<(), String> {
    if count <= limit {
        Ok(())
    } else {
        Err(format!("{count} {what}, at most {limit} are allowed"))
    }
}
