//! Adapters that run real agents: command and JSON lines.
