//! Compose the protocols into one peer, still pure.
