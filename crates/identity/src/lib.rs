//! Prove who said it: keys and signatures.
