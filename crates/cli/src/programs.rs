//! Whether the programs of a plan's agents exist here.

use std::path::PathBuf;

use formic::AgentSpec;
use formic_agents::find_program;

use crate::exit::{Exit, Stop};

/// Where the program of an agent lies; `None`: it is the shell or this executable.
///
/// # Errors
/// A sentence that names the agent and the program.
pub(crate) fn locate(agent: &AgentSpec) -> Result<Option<PathBuf>, String> {
    find_program(agent).map_err(|error| format!("agent {} {error}", agent.name))
}

/// Refuses agents whose program is missing, before anything starts.
///
/// # Errors
/// Exit 3 with all that is missing.
pub(crate) fn require(agents: &[AgentSpec]) -> Result<(), Stop> {
    let missing: Vec<String> = agents.iter().filter_map(|agent| locate(agent).err()).collect();
    if missing.is_empty() { Ok(()) } else { Err(Stop::new(Exit::NoPeer, missing.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use formic::Adapter;

    use super::*;

    fn agent(command: &[&str], adapter: Adapter) -> AgentSpec {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        AgentSpec { name: "a".to_owned(), adapter, command, capabilities: Vec::new(), slots: 1 }
    }

    #[test]
    fn programs_are_looked_for_before_anything_starts() {
        let here = [agent(&["formic", "example"], Adapter::Jsonl), agent(&[], Adapter::Command)];
        assert_eq!(require(&here), Ok(()));
        let refused = require(&[agent(&["no-such-program"], Adapter::Jsonl)]).unwrap_err();
        assert_eq!(refused.exit, Exit::NoPeer);
        let sentence = "agent a needs `no-such-program`: not found on PATH, or not executable";
        assert_eq!(refused.message, sentence);
    }
}
