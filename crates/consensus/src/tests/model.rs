//! The shipped round rules, exhaustively (consensus.md section 13). There is no network in the state:
//! votes are sets that only grow, and the liars' votes are always there, for every value. Leaders lie
//! unless a row says otherwise, so an honest voter may be asked for any value at any time, which is a
//! superset of every schedule. Voters go on voting after they decided.

use stateright::{Checker, Model, Property};

use crate::rounds::{Rounds, Seen, liars_max, quorum};

/// Two values.
type Value = u8;
type Voter = Rounds<Value>;

#[derive(Clone, Debug)]
struct Bounds {
    voters: usize,
    rounds: u64,
    leaders: Leaders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaders {
    /// All of them, whoever they are. Honest voters and the two values are then interchangeable.
    Lie,
    /// The first lies, the second is the first honest voter.
    FirstLies,
}

/// The honest voters.
type State = Vec<Voter>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Notarize(usize, Value),
    Nullify(usize),
    Notarized(usize, u64, Value),
    Nullified(usize, u64),
    Finalized(usize, u64, Value),
}

/// What there is for whoever receives everything: honest votes, and those that all liars could add.
struct All<'a> {
    state: &'a State,
    voters: usize,
}

impl All<'_> {
    fn quorum(&self, counts: impl Fn(&Voter) -> bool) -> bool {
        let honest = self.state.iter().filter(|voter| counts(voter)).count();
        honest + liars_max(self.voters) >= quorum(self.voters)
    }
}

impl Seen<Value> for All<'_> {
    fn notarized(&self, round: u64, value: &Value) -> bool {
        self.quorum(|voter| voter.in_round(round).notarize == Some(*value))
    }
    fn nullified(&self, round: u64) -> bool {
        self.quorum(|voter| voter.in_round(round).nullify)
    }
    fn finalized(&self, round: u64, value: &Value) -> bool {
        self.quorum(|voter| voter.in_round(round).finalize == Some(*value))
    }
}

impl Bounds {
    fn offered(&self, state: &State, voter: usize, value: Value) -> bool {
        let second = self.leaders == Leaders::FirstLies && state[voter].round() == 2;
        !second || voter == 0 || state[0].in_round(2).notarize == Some(value)
    }

    /// One of all states that differ only in who is who.
    fn canonical(&self, mut state: State) -> State {
        if self.leaders == Leaders::FirstLies {
            return state;
        }
        let mut swapped: State =
            state.iter().map(|voter| voter.renamed(|value| 1 - value)).collect();
        state.sort();
        swapped.sort();
        state.min(swapped)
    }
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![vec![Voter::new(); self.voters - liars_max(self.voters)]]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for voter in 0..state.len() {
            let round = state[voter].round();
            let rounds = 1..=self.rounds;
            actions.extend(rounds.clone().map(|round| Action::Nullified(voter, round)));
            for value in 0..2 {
                let all = rounds.clone();
                actions.extend(all.clone().map(|round| Action::Notarized(voter, round, value)));
                actions.extend(all.map(|round| Action::Finalized(voter, round, value)));
                if round <= self.rounds && self.offered(state, voter, value) {
                    actions.push(Action::Notarize(voter, value));
                }
            }
            if round <= self.rounds {
                actions.push(Action::Nullify(voter));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        let seen = All { state, voters: self.voters };
        let changed = match action {
            Action::Notarize(voter, value) => next[voter].notarize(&value, &seen),
            Action::Nullify(voter) => next[voter].nullify(),
            Action::Notarized(voter, round, value) => {
                next[voter].on_notarized(round, &value, &seen).is_some()
            }
            Action::Nullified(voter, round) => next[voter].on_nullified(round, &seen).is_some(),
            Action::Finalized(voter, round, value) => {
                next[voter].on_finalized(round, &value, &seen)
            }
        };
        changed.then(|| self.canonical(next))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("agreement", |_, state: &State| {
                let mut decided = state.iter().filter_map(Rounds::decided);
                let first = decided.next();
                decided.all(|value| Some(value) == first)
            }),
            Property::sometimes("all decide", |_, state: &State| {
                state.iter().all(|voter| voter.decided().is_some())
            }),
            Property::sometimes("a round is nullified", |model, state: &State| {
                All { state, voters: model.voters }.nullified(1)
            }),
        ]
    }
}

/// Explores everything, breadth first on one thread; a violation is the shortest there is.
fn explore(voters: usize, rounds: u64, leaders: Leaders) -> usize {
    let model = Bounds { voters, rounds, leaders };
    let checker = model.checker().spawn_bfs().join();
    if let Some(path) = checker.discovery("agreement") {
        let actions = path.into_actions();
        panic!("agreement is violated after {} steps: {actions:?}", actions.len());
    }
    checker.assert_properties();
    checker.unique_state_count()
}

#[test]
fn four_voters_one_round_first_leader_lies() {
    assert_eq!(explore(4, 1, Leaders::FirstLies), 2_512);
}

#[test]
fn four_voters_two_rounds() {
    assert_eq!(explore(4, 2, Leaders::Lie), 57_752);
}

#[test]
fn four_voters_two_rounds_second_leader_honest() {
    assert_eq!(explore(4, 2, Leaders::FirstLies), 331_480);
}

#[test]
fn five_voters_two_rounds() {
    assert_eq!(explore(5, 2, Leaders::Lie), 304_693);
}
