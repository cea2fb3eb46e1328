use std::collections::{BTreeMap, BTreeSet};

use formic::{LogEvent, LogLine};

/// The executions of one job that the log knows.
#[derive(Debug, Default)]
pub(crate) struct Tree<'a> {
    /// Child and spawning life, by owner.
    spawned: BTreeMap<&'a str, Vec<(&'a str, &'a str)>>,
    /// Knowing life, executing life and outcome, by key.
    done: BTreeMap<&'a str, Vec<Known<'a>>>,
    /// Lives that decided the result, in order of time.
    deciders: Vec<&'a str>,
}

#[derive(Clone, Copy, Debug)]
struct Known<'a> {
    at: &'a str,
    by: &'a str,
    outcome: &'a str,
}

/// The execution tree that produced the result.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Winning<'a> {
    /// Executing life and outcome, by key; the root not among them.
    pub(crate) tasks: BTreeMap<&'a str, (&'a str, &'a str)>,
    /// Spawned by an execution that counts, and without a result.
    pub(crate) lost: BTreeSet<&'a str>,
}

impl<'a> Tree<'a> {
    pub(crate) fn of(lines: &'a [LogLine], job: &str) -> Self {
        let mut tree = Self::default();
        for line in lines {
            match &line.event {
                LogEvent::TaskSpawned { job: of, owner, key, .. } if of == job => {
                    tree.spawned.entry(owner).or_default().push((key, &line.peer));
                }
                LogEvent::TaskDone { job: of, key, by, outcome, .. } if of == job => {
                    tree.done.entry(key).or_default().push(Known { at: &line.peer, by, outcome });
                }
                LogEvent::JobComplete { job: of, .. } if of == job => {
                    tree.deciders.push(&line.peer);
                }
                _ => {}
            }
        }
        tree
    }

    /// The task that nobody spawned.
    pub(crate) fn root(&self) -> Option<&'a str> {
        let children: BTreeSet<&str> =
            self.spawned.values().flatten().map(|(key, _)| *key).collect();
        self.spawned.keys().find(|owner| !children.contains(*owner)).copied()
    }

    /// Whether some life decided the result.
    pub(crate) fn is_decided(&self) -> bool {
        !self.deciders.is_empty()
    }

    /// Walks from the root through the executions that count; what they spawned must be done.
    pub(crate) fn winning(&self) -> Winning<'a> {
        let mut winning = Winning::default();
        let Some(root) = self.root() else { return winning };
        let mut open: Vec<(&str, &str)> =
            self.root_life(root).map(|life| (root, life)).into_iter().collect();
        while let Some((owner, life)) = open.pop() {
            for key in self.spawned_by(owner, life) {
                open.extend(winning.enter(key, self.result(key, life)));
            }
        }
        winning
    }

    fn spawned_by(&self, owner: &str, life: &str) -> impl Iterator<Item = &'a str> {
        let children = self.spawned.get(owner).into_iter().flatten();
        children.filter(move |(_, at)| *at == life).map(|(key, _)| *key)
    }

    /// Of the lives that executed the root: the first that decided, else the last one.
    fn root_life(&self, root: &str) -> Option<&'a str> {
        let lives: Vec<&str> = self.spawned.get(root)?.iter().map(|(_, life)| *life).collect();
        let decided = self.deciders.iter().find(|life| lives.contains(life)).copied();
        decided.or(lives.last().copied())
    }

    /// What `life` knows about a child; a tail is known to whoever adopted it.
    fn result(&self, key: &str, life: &str) -> Option<Known<'a>> {
        let known = self.done.get(key)?;
        known.iter().find(|known| known.at == life).or(known.first()).copied()
    }
}

impl<'a> Winning<'a> {
    /// The execution that counts, whose children count too; `None` if it is known already or lost.
    fn enter(&mut self, key: &'a str, known: Option<Known<'a>>) -> Option<(&'a str, &'a str)> {
        if self.tasks.contains_key(key) || self.lost.contains(key) {
            return None;
        }
        match known {
            Some(known) => {
                self.tasks.insert(key, (known.by, known.outcome));
                Some((key, known.by))
            }
            None => {
                self.lost.insert(key);
                None
            }
        }
    }
}
