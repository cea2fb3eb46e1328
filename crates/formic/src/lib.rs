//! Peer-to-peer coordination for fleets of agents: the public handle and the tokio driver.
