//! At most one view is committed in each epoch of a mesh (I1).

use formic_core::{Digest, Epoch};

/// A view that somebody knows is the first one that anybody knew of its epoch.
///
/// # Errors
/// It is another one.
pub fn at_view(epoch: Epoch, hash: Digest, first: Option<Digest>) -> Result<(), String> {
    match first {
        Some(first) if first != hash => {
            Err(format!("epoch {epoch} has two views, {} and {}", first.short(), hash.short()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_view_of_an_epoch_is_noticed() {
        let (a, b) = (Digest::of(&[b"a"]), Digest::of(&[b"b"]));
        assert!(at_view(Epoch(3), a, None).is_ok() && at_view(Epoch(3), a, Some(a)).is_ok());
        assert!(at_view(Epoch(3), b, Some(a)).is_err());
    }
}
