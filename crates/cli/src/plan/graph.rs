use std::collections::VecDeque;

/// The shortest cycle of `needs[task]` (indexes), as a path whose first task is also its last.
///
/// Kahn's order removes what cannot be part of one; a breadth-first search from each task that is left
/// finds the shortest (work.md N1).
pub(crate) fn shortest_cycle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let left = unordered(needs);
    let candidates = (0..needs.len()).filter(|task| left[*task]);
    candidates.filter_map(|task| cycle_through(task, needs, &left)).min_by_key(Vec::len)
}

/// Which tasks have no place in any order: those on a cycle, and those that need one.
fn unordered(needs: &[Vec<usize>]) -> Vec<bool> {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); needs.len()];
    for (task, its_needs) in needs.iter().enumerate() {
        for need in its_needs {
            dependents[*need].push(task);
        }
    }
    let mut ready: Vec<usize> = (0..needs.len()).filter(|task| open[*task] == 0).collect();
    let mut left = vec![true; needs.len()];
    while let Some(task) = ready.pop() {
        left[task] = false;
        for dependent in &dependents[task] {
            open[*dependent] -= 1;
            if open[*dependent] == 0 {
                ready.push(*dependent);
            }
        }
    }
    left
}

fn cycle_through(start: usize, needs: &[Vec<usize>], left: &[bool]) -> Option<Vec<usize>> {
    let mut came_from = vec![None; needs.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(task) = queue.pop_front() {
        for need in needs[task].iter().filter(|need| left[**need]) {
            if *need == start {
                return Some(path(start, task, &came_from));
            }
            if came_from[*need].is_none() {
                came_from[*need] = Some(task);
                queue.push_back(*need);
            }
        }
    }
    None
}

fn path(start: usize, end: usize, came_from: &[Option<usize>]) -> Vec<usize> {
    let mut path = vec![start, end];
    let mut task = end;
    while task != start {
        let Some(before) = came_from[task] else { break };
        path.push(before);
        task = before;
    }
    if end == start {
        path.pop();
        path.push(start);
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_cycle_is_found() {
        assert_eq!(shortest_cycle(&[vec![], vec![0], vec![0, 1]]), None);
        assert_eq!(shortest_cycle(&[vec![0]]), Some(vec![0, 0]));
        assert_eq!(shortest_cycle(&[vec![1], vec![0]]), Some(vec![0, 1, 0]));
        // 0 -> 1 -> 2 -> 3 -> 0 and 2 -> 4 -> 2; 5 only needs a cycle.
        let needs = [vec![1], vec![2], vec![3, 4], vec![0], vec![2], vec![0]];
        assert_eq!(shortest_cycle(&needs), Some(vec![2, 4, 2]));
    }
}
