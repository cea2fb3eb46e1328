//! The trees of tasks that the models execute.

use super::*;

/// One task: which peer it is placed on, and what each execution of its body spawns.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    on: usize,
    spawns: &'static [(usize, Spawn)],
}

const fn row(name: &'static str, on: usize, spawns: &'static [(usize, Spawn)]) -> Row {
    Row { name, on, spawns }
}

/// The root spawns two tasks.
const T1: &[Row] = &[
    row("root", 0, &[(1, Spawn::Nested), (2, Spawn::Nested)]),
    row("a", 1, &[]),
    row("b", 2, &[]),
];
/// A chain over all peers and back.
const T2: &[Row] = &[
    row("root", 0, &[(1, Spawn::Nested)]),
    row("a", 1, &[(2, Spawn::Nested)]),
    row("b", 2, &[(3, Spawn::Nested)]),
    row("c", 1, &[]),
];
/// Tails of the root: the home adopts them.
const T3: &[Row] =
    &[row("root", 0, &[(1, Spawn::Tail), (2, Spawn::Tail)]), row("a", 1, &[]), row("b", 2, &[])];
/// A tail below a tail, and a tail placed on its own adopter.
const T4: &[Row] = &[
    row("root", 0, &[(1, Spawn::Nested)]),
    row("a", 1, &[(2, Spawn::Tail)]),
    row("b", 2, &[(3, Spawn::Tail)]),
    row("c", 0, &[]),
];
/// One child awaited, the other handed over.
const T5: &[Row] = &[
    row("root", 0, &[(1, Spawn::Nested)]),
    row("a", 1, &[(2, Spawn::Nested), (3, Spawn::Tail)]),
    row("b", 2, &[]),
    row("c", 2, &[]),
];

/// All five, by name.
const ALL: [&[Row]; 5] = [T1, T2, T3, T4, T5];

/// What the peers of one job do: a function of the task, so a second execution does the same.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    keys: Vec<Key>,
    rows: &'static [Row],
}

impl Tree {
    /// t1 to t5.
    pub(super) fn new(number: usize) -> Self {
        let rows = ALL[number - 1];
        let mut keys = vec![root(); rows.len()];
        // A parent stands above its children.
        for (parent, row) in rows.iter().enumerate() {
            for (index, (at, _)) in row.spawns.iter().enumerate() {
                keys[*at] = child(keys[parent], index as u64, rows[*at].name);
            }
        }
        Self { keys, rows }
    }

    fn row(&self, key: Key) -> Option<&Row> {
        let at = self.keys.iter().position(|other| *other == key)?;
        self.rows.get(at)
    }

    /// Every task, the root first.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What the body of `key` asks for, in order.
    pub(super) fn spawns(&self, key: Key) -> Vec<Input> {
        let spawns = self.row(key).map_or(&[][..], |row| row.spawns);
        let input = |(index, (at, mode)): (usize, &(usize, Spawn))| Input::Spawn {
            owner: key,
            index: index as u64,
            descriptor: task(self.rows[*at].name),
            mode: *mode,
        };
        spawns.iter().enumerate().map(input).collect()
    }

    /// The peer that `key` is placed on first.
    pub(super) fn place(&self, key: Key) -> usize {
        self.row(key).map_or(0, |row| row.on)
    }
}
