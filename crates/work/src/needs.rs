//! Which task of a plan may start when (N1, N3, N4).

use std::collections::{BTreeMap, VecDeque};

/// The most tasks of one graph.
pub const TASKS_MAX: usize = 100_000;
/// The most needs of one task.
pub const NEEDS_MAX: usize = 1_000;
/// A plan with a cycle is searched for its shortest one from this many tasks.
const CYCLE_STARTS_MAX: usize = 1_000;

/// A checked dependency graph and how far it is done.
///
/// ```
/// use formic_work::{Ended, Needs};
///
/// let plan = [("fetch", vec![]), ("build", vec!["fetch"]), ("test", vec!["build"])];
/// let mut needs = Needs::new(&plan)?;
/// assert_eq!(needs.ready(), ["fetch"]);
/// assert_eq!(needs.done("fetch", Ended::Well)?.ready, ["build"]);
/// assert_eq!(needs.done("build", Ended::Badly)?.cancelled, [("test".into(), "build".into())]);
/// assert!(needs.is_over());
/// # Ok::<(), formic_work::NeedsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Needs {
    names: Vec<String>,
    index: BTreeMap<String, usize>,
    dependents: Vec<Vec<usize>>,
    /// Needs that are not done, per task.
    open: Vec<usize>,
    state: Vec<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Blocked,
    Ready,
    Over,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// With a result.
    Well,
    /// In any other way.
    Badly,
}

/// What a task's end leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Step {
    /// Tasks that may start, in the order of the plan.
    pub ready: Vec<String>,
    /// Tasks that will never start, each with the need that ended badly or was cancelled itself.
    pub cancelled: Vec<(String, String)>,
}

/// Why a graph or a step is refused. The caller's fault; state unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NeedsError {
    /// Two tasks have one name.
    #[error("two tasks are named {name:?}")]
    Duplicate {
        /// It.
        name: String,
    },
    /// A task needs what does not exist.
    #[error("task {task:?} needs {need:?}, which does not exist")]
    Unknown {
        /// The task.
        task: String,
        /// What it needs.
        need: String,
    },
    /// Tasks need each other.
    #[error("tasks need each other: {}", path.join(" -> "))]
    Cycle {
        /// A shortest cycle: each needs the next, the last is the first again.
        path: Vec<String>,
    },
    /// Over a limit.
    #[error("{count} {what}, at most {limit} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A task ended that was not ready.
    #[error("task {name:?} ended and was not ready")]
    NotReady {
        /// It.
        name: String,
    },
}

impl Needs {
    /// Checks a plan: names, and what each needs.
    ///
    /// # Errors
    /// [`NeedsError::TooMany`], [`NeedsError::Duplicate`], [`NeedsError::Unknown`],
    /// [`NeedsError::Cycle`]; the first that applies.
    pub fn new<N: AsRef<str>, D: AsRef<str>>(plan: &[(N, Vec<D>)]) -> Result<Self, NeedsError> {
        limit("tasks", plan.len(), TASKS_MAX)?;
        let mut index = BTreeMap::new();
        for (position, (name, needs)) in plan.iter().enumerate() {
            limit("needs of one task", needs.len(), NEEDS_MAX)?;
            if index.insert(name.as_ref().to_owned(), position).is_some() {
                return Err(NeedsError::Duplicate { name: name.as_ref().to_owned() });
            }
        }
        let names: Vec<String> = plan.iter().map(|(name, _)| name.as_ref().to_owned()).collect();
        let mut edges: Vec<Vec<usize>> = Vec::with_capacity(plan.len());
        for (name, needs) in plan {
            let mut targets = Vec::with_capacity(needs.len());
            for need in needs {
                let target = index.get(need.as_ref()).ok_or_else(|| NeedsError::Unknown {
                    task: name.as_ref().to_owned(),
                    need: need.as_ref().to_owned(),
                })?;
                targets.push(*target);
            }
            targets.sort_unstable();
            targets.dedup();
            edges.push(targets);
        }
        let mut dependents = vec![Vec::new(); names.len()];
        for (task, targets) in edges.iter().enumerate() {
            targets.iter().for_each(|&target| dependents[target].push(task));
        }
        if let Some(cycle) = shortest_cycle(&edges, &dependents) {
            let path = cycle.into_iter().map(|task| names[task].clone()).collect();
            return Err(NeedsError::Cycle { path });
        }
        let open: Vec<usize> = edges.iter().map(Vec::len).collect();
        let state = open.iter().map(|&n| if n == 0 { State::Ready } else { State::Blocked });
        let state = state.collect();
        Ok(Self { names, index, dependents, open, state })
    }

    /// Tasks that may run or are running, in the order of the plan.
    pub fn ready(&self) -> Vec<&str> {
        let ready = |&task: &usize| self.state[task] == State::Ready;
        (0..self.names.len()).filter(ready).map(|task| self.names[task].as_str()).collect()
    }

    /// Whether every task ended or was cancelled.
    pub fn is_over(&self) -> bool {
        self.state.iter().all(|&state| state == State::Over)
    }

    /// Takes a task's end.
    ///
    /// # Errors
    /// [`NeedsError::NotReady`]: unknown, blocked, or over already.
    pub fn done(&mut self, name: &str, ended: Ended) -> Result<Step, NeedsError> {
        let ready = |&&task: &&usize| self.state[task] == State::Ready;
        let not_ready = || NeedsError::NotReady { name: name.to_owned() };
        let task = *self.index.get(name).filter(ready).ok_or_else(not_ready)?;
        self.state[task] = State::Over;
        let mut step = Step::default();
        match ended {
            Ended::Well => self.release(task, &mut step),
            Ended::Badly => self.cancel(task, &mut step),
        }
        Ok(step)
    }

    fn release(&mut self, task: usize, step: &mut Step) {
        for &dependent in &self.dependents[task] {
            self.open[dependent] -= 1;
            if self.open[dependent] == 0 && self.state[dependent] == State::Blocked {
                self.state[dependent] = State::Ready;
                step.ready.push(self.names[dependent].clone());
            }
        }
    }

    /// N4.
    fn cancel(&mut self, task: usize, step: &mut Step) {
        let mut ended = VecDeque::from([task]);
        while let Some(need) = ended.pop_front() {
            let dependents = self.dependents[need].iter().copied();
            let state = &mut self.state;
            let blocked: Vec<usize> =
                dependents.filter(|&dependent| state[dependent] == State::Blocked).collect();
            for dependent in blocked {
                state[dependent] = State::Over;
                step.cancelled.push((self.names[dependent].clone(), self.names[need].clone()));
                ended.push_back(dependent);
            }
        }
    }
}

fn limit(what: &'static str, count: usize, limit: usize) -> Result<(), NeedsError> {
    if count > limit {
        return Err(NeedsError::TooMany { what, count, limit });
    }
    Ok(())
}

/// Kahn from both ends leaves the cycles and the paths between them; then breadth first from each.
fn shortest_cycle(edges: &[Vec<usize>], dependents: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut left = vec![true; edges.len()];
    trim(edges, dependents, &mut left);
    trim(dependents, edges, &mut left);
    let starts = (0..edges.len()).filter(|&task| left[task]).take(CYCLE_STARTS_MAX);
    let cycles = starts.filter_map(|start| cycle_through(start, edges, &left));
    cycles.min_by_key(Vec::len)
}

/// Removes, until none is left, tasks all of whose `edges` lead to removed ones.
fn trim(edges: &[Vec<usize>], reverse: &[Vec<usize>], left: &mut [bool]) {
    let count = |task: usize, left: &[bool]| edges[task].iter().filter(|&&to| left[to]).count();
    let mut degree: Vec<usize> = (0..edges.len()).map(|task| count(task, left)).collect();
    let mut free: Vec<usize> =
        (0..edges.len()).filter(|&task| left[task] && degree[task] == 0).collect();
    while let Some(task) = free.pop() {
        left[task] = false;
        for &from in &reverse[task] {
            degree[from] = degree[from].saturating_sub(1);
            if left[from] && degree[from] == 0 {
                free.push(from);
            }
        }
    }
}

fn cycle_through(start: usize, edges: &[Vec<usize>], left: &[bool]) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(task) = next.pop_front() {
        for &to in edges[task].iter().filter(|&&to| left[to]) {
            if to == start {
                return Some(path_back(start, task, &came_from));
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = came_from.entry(to) {
                entry.insert(task);
                next.push_back(to);
            }
        }
    }
    None
}

/// From `start` along the needs to `last`, which needs `start`, and back to it.
fn path_back(start: usize, last: usize, came_from: &BTreeMap<usize, usize>) -> Vec<usize> {
    let mut path = vec![start];
    let mut at = last;
    while at != start {
        path.push(at);
        match came_from.get(&at) {
            Some(&before) => at = before,
            None => break,
        }
    }
    path.push(start);
    path.reverse();
    path
}
