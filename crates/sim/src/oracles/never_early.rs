//! `Complete` is said only when every task reachable from the root was executed to its end (I2).

use std::collections::BTreeMap;

use formic_core::Key;

use crate::Truth;

/// The first task found that is not covered: none of its executions ended with all it spawned covered.
///
/// # Errors
/// What was found instead.
pub fn at_complete(truth: &Truth) -> Result<(), String> {
    let Some(root) = truth.root else { return Err("complete before the root ran".to_owned()) };
    let mut known = BTreeMap::new();
    if covered(truth, root, &mut known) {
        return Ok(());
    }
    let open: Vec<String> =
        known.iter().filter(|(_, covered)| !**covered).map(|(key, _)| key.short()).collect();
    Err(format!("complete with {} tasks not covered: {}", open.len(), open.join(" ")))
}

/// Depth first with an explicit stack: chains are long.
fn covered(truth: &Truth, root: Key, known: &mut BTreeMap<Key, bool>) -> bool {
    let mut stack = vec![root];
    while let Some(key) = stack.last().copied() {
        let executions = truth.executions.get(&key).map_or(&[][..], Vec::as_slice);
        let ended = || executions.iter().filter(|execution| execution.finished);
        let unknown: Vec<Key> = ended()
            .flat_map(|execution| &execution.children)
            .filter(|child| !known.contains_key(child))
            .copied()
            .collect();
        if unknown.is_empty() {
            let good = |child: &Key| known.get(child) == Some(&true);
            let any = ended().any(|execution| execution.children.iter().all(good));
            known.insert(key, any);
            stack.pop();
        } else {
            stack.extend(unknown);
        }
    }
    known.get(&root) == Some(&true)
}
