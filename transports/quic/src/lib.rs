//! Delivery across hosts: QUIC with mutual authentication by raw public key.
