mod ballots;
#[expect(clippy::excessive_nesting, reason = "one effect after the other reads best in one match")]
mod harness;
mod known;
mod machine;
#[expect(clippy::excessive_nesting, reason = "all actions of all voters read best in one loop")]
mod model;
mod proof;
mod refused;
