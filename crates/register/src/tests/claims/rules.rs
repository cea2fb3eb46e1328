//! One sentence per rule, over a network that loses nothing but what goes to the dead.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::{
    Error,
    claims::{
        Ask, CLAIMS_MAX, Denial, Event, Fence, Message, Quorum, Record, Refusal, Snapshot, Stamp,
        VALUE_MAX,
    },
};

const LEASE: Duration = Duration::from_secs(1);

/// Peers that hear each other at once.
pub(super) struct Net {
    pub(super) now: Time,
    pub(super) machines: Vec<Claims<u32>>,
    dead: BTreeSet<usize>,
    events: Vec<(usize, Event<u32>)>,
    pub(super) records: Vec<(usize, Record<u32>)>,
}

fn at(life: Life) -> usize {
    usize::from(life.peer.as_bytes()[0]) - 1
}

pub(super) fn lives(ranks: &[usize]) -> Vec<Life> {
    ranks.iter().map(|rank| life(*rank, 1)).collect()
}

impl Net {
    /// So many peers, in no view yet.
    pub(super) fn of(count: usize, machine: impl Fn(usize) -> Claims<u32>) -> Self {
        let machines = (0..count).map(machine).collect();
        let (events, records, dead) = (vec![], vec![], BTreeSet::new());
        Self { now: Time::from_us(1), machines, dead, events, records }
    }

    pub(super) fn kill(&mut self, rank: usize) {
        self.dead.insert(rank);
    }

    pub(super) fn revive(&mut self, rank: usize) {
        self.dead.remove(&rank);
    }

    /// So many peers, all in a first view.
    fn new(count: usize) -> Self {
        let mut net = Self::of(count, |rank| Claims::new(life(rank, 1)));
        net.view(&view(1, &lives(&(0..count).collect::<Vec<_>>())));
        net
    }

    pub(super) fn feed(&mut self, rank: usize, input: Input<u32>) {
        let mut flying = VecDeque::from([(rank, input)]);
        while let Some((rank, input)) = flying.pop_front() {
            if self.dead.contains(&rank) {
                continue;
            }
            let mut out = Vec::new();
            self.machines[rank].handle(self.now, input, &mut out).unwrap();
            self.machines[rank].check();
            flying.extend(out.into_iter().filter_map(|effect| self.effect(rank, effect)));
        }
    }

    fn effect(&mut self, rank: usize, effect: Effect<u32>) -> Option<(usize, Input<u32>)> {
        match effect {
            Effect::Persist(record) => self.records.push((rank, record)),
            Effect::Event(event) => self.events.push((rank, event)),
            Effect::Send { to, message } => {
                return Some((at(to), Input::Message { from: life(rank, 1), message }));
            }
        }
        None
    }

    pub(super) fn view(&mut self, view: &Arc<View>) {
        for rank in 0..self.machines.len() {
            self.feed(rank, Input::View(Arc::clone(view)));
        }
    }

    pub(super) fn claim(&mut self, rank: usize) {
        self.feed(rank, claim(1));
    }

    /// Lets time pass, timer by timer.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let live = (0..self.machines.len()).filter(|rank| !self.dead.contains(rank));
            let due = |rank: usize| self.machines[rank].deadline().map(|at| (at, rank));
            match live.filter_map(due).min() {
                Some((at, rank)) if at <= end => {
                    self.now = self.now.max(at);
                    self.feed(rank, Input::Deadline);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    pub(super) fn happened(&self, rank: usize, what: impl Fn(&Event<u32>) -> bool) -> bool {
        self.events.iter().any(|(by, event)| *by == rank && what(event))
    }

    pub(super) fn granted(&self, rank: usize) -> Option<Fence> {
        self.events.iter().rev().find_map(|(by, event)| match event {
            Event::Granted { fence, .. } if *by == rank => Some(*fence),
            _ => None,
        })
    }
}

fn claim(attempt: u64) -> Input<u32> {
    Input::Claim { task: task(0), born: Epoch(1), attempt, lease: LEASE }
}

pub(super) const fn fence(epoch: u64, attempt: u64) -> Fence {
    Fence { epoch: Epoch(epoch), attempt }
}

fn commit(value: u32) -> Input<u32> {
    Input::Commit { task: task(0), value }
}

fn ask(rank: usize, fence: Fence, set: u64) -> Ask {
    let stamp = Stamp { fence, holder: life(rank, 1) };
    Ask { task: task(0), born: Epoch(1), stamp, set: Epoch(set) }
}

fn told(
    machine: &mut Claims<u32>,
    now: Time,
    from: usize,
    message: Message<u32>,
) -> Vec<Effect<u32>> {
    let mut out = Vec::new();
    machine.handle(now, Input::Message { from: life(from, 1), message }, &mut out).unwrap();
    machine.check();
    out
}

fn refusal(out: &[Effect<u32>]) -> Option<Refusal> {
    out.iter().find_map(|effect| match effect {
        Effect::Send { message: Message::Refuse { why, .. }, .. } => Some(*why),
        _ => None,
    })
}

fn prepare(rank: usize, fence: Fence) -> Message<u32> {
    Message::Prepare { ask: ask(rank, fence, fence.epoch.0), lease: LEASE }
}

#[test]
fn a_free_task_is_granted_and_its_result_is_decided() {
    let mut net = Net::new(5);
    net.claim(1);
    assert_eq!(net.granted(1), Some(fence(1, 1)));
    net.feed(1, commit(7));
    assert!(net.happened(1, |event| matches!(event, Event::Committed { value: 7, .. })));
    assert!(net.machines.iter().all(|machine| machine.decided(task(0)) == Some(&7)));
    assert!(net.machines.iter().all(|machine| machine.deadline().is_none()), "no timer is left");
}

#[test]
fn a_decided_task_is_adopted_and_never_run() {
    let mut net = Net::new(5);
    net.claim(1);
    net.feed(1, commit(7));
    net.claim(2);
    assert!(net.happened(2, |event| matches!(event, Event::Adopted { value: 7, .. })));
    assert_eq!(net.granted(2), None);
}

#[test]
fn half_a_commit_is_adopted() {
    let mut net = Net::new(3);
    net.claim(0);
    net.dead.extend([1, 2]);
    net.feed(0, commit(7));
    net.dead = BTreeSet::from([1]);
    net.machines[0].handle(net.now, Input::Release { task: task(0) }, &mut Vec::new()).unwrap();
    net.pass(LEASE * 2);
    net.claim(2);
    net.pass(LEASE);
    assert!(net.happened(2, |event| matches!(event, Event::Adopted { value: 7, .. })));
    assert_eq!(net.granted(2), None, "its body must not run");
}

#[test]
fn a_second_claimant_waits_while_the_lease_is_renewed_and_takes_over_when_the_holder_dies() {
    let mut net = Net::new(3);
    net.claim(0);
    net.claim(1);
    net.pass(Duration::from_secs(30));
    assert!(net.happened(1, |event| matches!(event, Event::Waiting { .. })));
    assert!(!net.happened(0, |event| matches!(event, Event::LeaseLost { .. })), "renewed");
    assert_eq!(net.granted(1), None);
    net.dead.insert(0);
    let died = net.now;
    net.pass(LEASE * 2);
    assert!(net.granted(1) > net.granted(0), "{:?}", net.granted(1));
    assert!(net.machines[1].held(task(0), died + LEASE * 2).is_some());
}

#[test]
fn a_released_task_is_granted_at_once() {
    let mut net = Net::new(3);
    net.claim(0);
    net.feed(0, Input::Release { task: task(0) });
    net.claim(1);
    // The first attempt is used up; the second follows after a back-off, without waiting out a lease.
    net.pass(Duration::from_millis(250));
    assert_eq!(net.granted(1), Some(fence(1, 2)));
}

#[test]
fn the_holder_stops_before_its_replicas_stop_waiting() {
    let mut net = Net::new(3);
    let start = net.now;
    net.claim(0);
    net.dead.insert(0);
    let replica = &mut net.machines[1].clone();
    let late = start + LEASE * 98 / 100;
    assert!(net.machines[0].held(task(0), late - Duration::from_micros(1)).is_some());
    assert_eq!(net.machines[0].held(task(0), late), None);
    let end = start + LEASE * 102 / 100 + Duration::from_millis(50);
    let early = end - Duration::from_micros(1);
    let out = told(replica, early, 2, prepare(2, fence(1, 2)));
    let why = Refusal::Held { remaining: Duration::from_micros(1) };
    assert_eq!(refusal(&out), Some(why));
    assert_eq!(refusal(&told(replica, end, 2, prepare(2, fence(1, 2)))), None);
}

#[test]
fn a_lost_lease_does_not_forbid_the_commit_but_a_higher_promise_does() {
    let mut net = Net::new(3);
    net.claim(0);
    net.dead.extend([1, 2]);
    net.pass(LEASE * 2);
    assert!(net.happened(0, |event| matches!(event, Event::LeaseLost { .. })));
    let mut other = Net {
        machines: net.machines.clone(),
        events: vec![],
        records: vec![],
        dead: BTreeSet::new(),
        now: net.now,
    };
    other.feed(0, commit(7));
    assert!(other.happened(0, |event| matches!(event, Event::Committed { value: 7, .. })));
    net.dead = BTreeSet::from([0]);
    net.feed(1, claim(2));
    net.dead.clear();
    net.feed(0, commit(7));
    let denied = Denial::Superseded { promised: fence(1, 2) };
    assert!(net.happened(0, |event| matches!(event, Event::Refused { why, .. } if *why == denied)));
}

#[test]
fn one_fence_goes_to_one_life_whichever_identity_is_higher() {
    let later = Time::from_us(5_000_000);
    for (first, second) in [(0, 1), (1, 0)] {
        let mut replica = Net::new(3).machines[2].clone();
        assert_eq!(
            refusal(&told(&mut replica, Time::from_us(2), first, prepare(first, fence(1, 1)))),
            None
        );
        let out = told(&mut replica, later, second, prepare(second, fence(1, 1)));
        assert_eq!(refusal(&out), Some(Refusal::Lower { promised: fence(1, 1) }));
        let again = told(&mut replica, later, first, prepare(first, fence(1, 1)));
        assert_eq!(refusal(&again), None, "the same try again is answered again");
    }
}

#[test]
fn a_promise_is_durable_before_it_is_sent_and_a_restored_replica_leases_it_in_full() {
    let mut net = Net::new(3);
    let out = told(&mut net.machines[2], Time::from_us(2), 0, prepare(0, fence(1, 1)));
    let Effect::Persist(record) = out[0].clone() else { panic!("{out:?}") };
    assert!(matches!(out[1], Effect::Send { message: Message::Promise { .. }, .. }), "{out:?}");
    let mut restored = Claims::new(life(2, 2));
    let start = Time::from_us(60_000_000);
    let view = view(1, &lives(&[0, 1, 2]));
    for input in [Input::Restore(vec![Record::View(Epoch(1)), record]), Input::View(view)] {
        restored.handle(start, input, &mut Vec::new()).unwrap();
    }
    let early = start + LEASE;
    let out = told(&mut restored, early, 1, prepare(1, fence(1, 2)));
    assert!(matches!(refusal(&out), Some(Refusal::Held { .. })), "{out:?}");
    let out = told(&mut restored, start + LEASE * 11 / 10, 1, prepare(1, fence(1, 2)));
    assert_eq!(refusal(&out), None);
}

#[test]
fn a_restored_replica_is_silent_until_it_is_told_the_view_it_was_in() {
    let mut restored: Claims<u32> = Claims::new(life(2, 2));
    let records = vec![Record::View(Epoch(2))];
    let first = view(1, &lives(&[0, 1, 2]));
    for input in [Input::Restore(records), Input::View(first)] {
        restored.handle(Time::ZERO, input, &mut Vec::new()).unwrap();
    }
    let out = told(&mut restored, Time::ZERO, 0, prepare(0, fence(1, 1)));
    assert_eq!(refusal(&out), Some(Refusal::NotInstalled));
}

#[test]
fn who_knows_the_next_view_is_silent_for_the_last_one() {
    let mut net = Net::new(3);
    let next = view(2, &lives(&[0, 1, 2]));
    net.feed(2, Input::View(next));
    let out = told(&mut net.machines[2], net.now, 0, prepare(0, fence(1, 1)));
    assert_eq!(refusal(&out), Some(Refusal::Moved { epoch: Epoch(2) }));
    let out = told(&mut net.machines[1], net.now, 0, prepare(0, fence(2, 1)));
    assert_eq!(refusal(&out), Some(Refusal::NotInstalled), "who does not know it as well");
}

/// X2 and X4: also a replica that goes on asks a majority of the last set before it answers.
#[test]
fn a_replica_of_a_changed_set_answers_after_a_majority_of_the_last_one() {
    let mut replica = Net::new(3).machines[0].clone();
    let mut out = Vec::new();
    let shrunk = view(2, &lives(&[0, 1]));
    replica.handle(Time::from_us(2), Input::View(shrunk), &mut out).unwrap();
    let now = Time::from_us(3);
    let out = told(&mut replica, now, 1, prepare(1, fence(2, 1)));
    assert_eq!(refusal(&out), Some(Refusal::NotInstalled));
    let pulls = out.iter().filter(|effect| {
        matches!(effect, Effect::Send { message: Message::Pull { epoch: Epoch(2), .. }, .. })
    });
    assert_eq!(pulls.count(), 2, "{out:?}");
    let stamp = Stamp { fence: fence(1, 4), holder: life(2, 1) };
    let state = Snapshot {
        promised: Some(stamp),
        accepted: Some((stamp, 7)),
        decided: None,
        leases: vec![],
    };
    told(
        &mut replica,
        now,
        2,
        Message::State {
            task: task(0),
            epoch: Epoch(2),
            installed: Epoch(1),
            state: Box::new(state),
        },
    );
    let out = told(&mut replica, now, 1, prepare(1, fence(2, 1)));
    let promised = out.iter().any(|effect| {
        matches!(
            effect,
            Effect::Send { message: Message::Promise { accepted: Some((_, 7)), .. }, .. }
        )
    });
    assert!(promised, "{out:?}");
}

/// X5: two of five votes and one of three are no majority of either.
#[test]
fn votes_of_two_views_are_never_added_up() {
    let mut net = Net::new(5);
    net.claim(0);
    net.dead.extend([1, 2, 3, 4]);
    net.feed(0, commit(7));
    let holder = &mut net.machines[0];
    let voted = |from: usize, holder: &mut Claims<u32>, set| {
        let out = told(holder, net.now, from, Message::Accepted { ask: ask(0, fence(1, 1), set) });
        out.iter().any(|effect| matches!(effect, Effect::Event(Event::Committed { .. })))
    };
    assert!(!voted(1, holder, 1), "two of five");
    let next = view(2, &lives(&[0, 5, 6]));
    holder.handle(net.now, Input::View(next), &mut Vec::new()).unwrap();
    assert!(!voted(2, holder, 1), "a late vote of the view before");
    assert!(!voted(5, holder, 2), "one of three");
    assert!(voted(6, holder, 2));
}

#[test]
fn a_grant_and_its_lease_survive_a_view_change() {
    let mut net = Net::new(5);
    net.view(&view(2, &lives(&[0, 1, 2])));
    net.claim(0);
    // The replicas of the second view ask those of the first before they answer.
    net.pass(Duration::from_millis(100));
    assert_eq!(net.granted(0), Some(fence(2, 1)));
    net.view(&view(3, &lives(&[0, 1, 2, 3, 4])));
    net.pass(Duration::from_secs(5));
    net.claim(4);
    net.pass(Duration::from_secs(5));
    assert_eq!(net.granted(4), None, "the lease moved along");
    net.feed(0, commit(7));
    assert!(net.happened(0, |event| matches!(event, Event::Committed { value: 7, .. })));
    net.pass(Duration::from_secs(5));
    assert!(net.happened(4, |event| matches!(event, Event::Adopted { value: 7, .. })));
}

/// Replicas that never heard of the task are told of it, so that the old ones may all go.
#[test]
fn a_result_survives_the_loss_of_all_who_decided_it_one_view_after_the_other() {
    let mut net = Net::new(6);
    net.view(&view(2, &lives(&[0, 1, 2])));
    net.claim(0);
    // The replicas of the second view ask those of the first before they answer.
    net.pass(Duration::from_millis(100));
    net.feed(0, commit(7));
    net.view(&view(3, &lives(&[2, 3, 4])));
    net.pass(Duration::from_millis(200));
    net.dead.extend([0, 1]);
    net.view(&view(4, &lives(&[3, 4, 5])));
    net.pass(Duration::from_millis(200));
    net.dead.insert(2);
    net.claim(5);
    net.pass(Duration::from_secs(2));
    assert!(net.happened(5, |event| matches!(event, Event::Adopted { value: 7, .. })));
}

#[test]
fn without_a_majority_of_its_replicas_a_task_is_undecided_until_they_return() {
    let mut net = Net::new(3);
    net.dead.extend([1, 2]);
    net.claim(0);
    net.pass(Duration::from_secs(2));
    let missing = vec![life(1, 1).peer, life(2, 1).peer];
    assert!(net.happened(0, |event| {
        matches!(event, Event::Undecided { missing: said, .. } if *said == missing)
    }));
    net.dead.remove(&1);
    net.pass(Duration::from_secs(2));
    assert!(net.granted(0).is_some());
}

#[test]
fn a_round_that_some_refuse_while_others_are_dead_is_tried_with_a_higher_fence() {
    let mut net = Net::new(3);
    // Replica 1 promised the first fence to itself, and to nobody else.
    net.dead.extend([0, 2]);
    net.claim(1);
    net.feed(1, Input::Release { task: task(0) });
    net.dead.remove(&0);
    net.claim(0);
    net.pass(Duration::from_secs(3));
    assert!(net.granted(0) > Some(fence(1, 1)), "{:?}", net.granted(0));
}

#[test]
fn a_guest_keeps_nothing_and_may_claim() {
    let mut net = Net::new(3);
    let guest = life(8, 1);
    let out = told(&mut net.machines[0], net.now, 1, prepare(1, fence(1, 1)));
    assert_eq!(refusal(&out), None, "a member needs no invitation");
    let mut stranger = Claims::new(guest);
    let now = net.now;
    let mut feed = |input| stranger.handle(now, input, &mut Vec::new());
    feed(Input::View(view(1, &lives(&[0, 1, 2])))).unwrap();
    assert_eq!(feed(claim(0)), Err(Error::NoMember { life: guest }));
    feed(Input::Guest(guest)).unwrap();
    feed(claim(0)).unwrap();
}

#[test]
fn an_amnesiac_claims_and_answers_nobody() {
    let mut forgot = Claims::amnesiac(life(2, 2));
    let first = view(1, &lives(&[0, 1, 2]));
    for input in [Input::View(first), Input::Guest(life(2, 2)), claim(0)] {
        forgot.handle(Time::ZERO, input, &mut Vec::new()).unwrap();
    }
    assert!(forgot.claims_task(task(0)));
    let out = told(&mut forgot, Time::ZERO, 0, prepare(0, fence(1, 1)));
    assert_eq!(refusal(&out), Some(Refusal::NotInstalled));
}

#[test]
fn a_life_that_is_evicted_loses_its_claims_and_is_refused() {
    let mut net = Net::new(4);
    net.claim(3);
    net.view(&view(2, &lives(&[0, 1, 2])));
    assert!(net.happened(3, |event| matches!(event, Event::LeaseLost { .. })));
    let denied =
        |event: &Event<u32>| matches!(event, Event::Refused { why: Denial::NotMember, .. });
    assert!(net.happened(3, denied));
    let out = told(&mut net.machines[0], net.now, 3, prepare(3, fence(2, 1)));
    assert_eq!(refusal(&out), Some(Refusal::NotMember));
}

#[test]
fn a_forced_view_goes_on_with_what_all_survivors_know() {
    let mut net = Net::new(5);
    net.claim(0);
    net.dead.extend([0, 1, 2]);
    let mut forced = View::clone(&view(1 << 32, &lives(&[3, 4])));
    let operator = life(3, 1).peer;
    forced.forced = Some(formic_core::Forced { operator, reason: "fire".into(), dropped: vec![] });
    net.view(&Arc::new(forced));
    net.claim(4);
    net.pass(LEASE * 2);
    assert!(net.granted(4) > Some(fence(1, 1)));
}

#[test]
fn a_forgotten_job_leaves_nothing_behind() {
    let mut net = Net::new(3);
    net.claim(0);
    net.feed(0, commit(7));
    for rank in 0..3 {
        net.feed(rank, Input::Forget(task(0).job));
    }
    assert!(net.machines.iter().all(|machine| machine.entries() == 0));
    let of_0 = net.records.into_iter().filter(|(rank, _)| *rank == 0).map(|(_, record)| record);
    let mut restored = Claims::new(life(0, 2));
    restored.handle(Time::ZERO, Input::Restore(of_0.collect()), &mut Vec::new()).unwrap();
    assert_eq!(restored.entries(), 0);
}

#[test]
fn what_the_caller_does_wrong_is_refused_and_changes_nothing() {
    let mut net = Net::new(3);
    net.claim(0);
    let other = |lease| Input::Claim { task: task(1), born: Epoch(1), attempt: 1, lease };
    let early = Duration::from_millis(499);
    let cases = [
        (claim(1), Error::Claimed { task: task(0) }),
        (other(early), Error::Lease { length: early }),
        (Input::Commit { task: task(1), value: 1 }, Error::NotHeld { task: task(1) }),
        (commit(u32::MAX), Error::TooLarge { size: 2_000, limit: VALUE_MAX }),
        (Input::Release { task: task(1) }, Error::NotHeld { task: task(1) }),
        (Input::Restore(vec![]), Error::RestoreNotFirst),
        (
            Input::View(view(3, &lives(&[0]))),
            Error::ViewOrder { current: Epoch(1), next: Epoch(3) },
        ),
    ];
    for (input, error) in cases {
        let before = net.machines[0].clone();
        let mut out = Vec::new();
        assert_eq!(net.machines[0].handle(net.now, input, &mut out), Err(error));
        assert_eq!((net.machines[0].clone(), out), (before, vec![]));
    }
    net.feed(0, Input::Quorum(Quorum::Lost));
    let refused = net.machines[0].handle(net.now, other(LEASE), &mut Vec::new());
    assert_eq!(refused, Err(Error::NoQuorum { task: task(1) }));
    net.feed(0, Input::Quorum(Quorum::Held));
    net.feed(0, other(LEASE));
}

#[test]
fn what_a_peer_sends_wrong_is_its_fault_and_changes_nothing() {
    let mut machine = Net::new(3).machines[0].clone();
    let now = Time::from_us(2);
    told(&mut machine, now, 1, Message::Accept { ask: ask(1, fence(1, 1), 1), value: 7 });
    let from = life(1, 1);
    let accept = |value| Message::Accept { ask: ask(1, fence(1, 1), 1), value };
    let cases = [
        (prepare(2, fence(1, 2)), Error::BadAsk { from }),
        (Message::Prepare { ask: ask(1, fence(1, 2), 2), lease: LEASE }, Error::BadAsk { from }),
        (Message::Accepted { ask: ask(2, fence(1, 1), 1) }, Error::BadAsk { from }),
        (
            Message::Prepare { ask: ask(1, fence(1, 2), 1), lease: Duration::ZERO },
            Error::BadAsk { from },
        ),
        (accept(8), Error::OtherResult { from, task: task(0) }),
        (accept(u32::MAX), Error::LargeValue { from }),
    ];
    for (message, error) in cases {
        let before = machine.clone();
        let mut out = Vec::new();
        let input = Input::Message { from, message };
        assert_eq!(machine.handle(now, input, &mut out), Err(error));
        assert_eq!((machine.clone(), out), (before, vec![]));
    }
    let stranger = life(8, 1);
    let input = Input::Message { from: stranger, message: accept(7) };
    let refused = machine.handle(now, input, &mut Vec::new());
    assert_eq!(refused, Err(Error::Stranger { from: stranger }));
}

#[test]
fn a_life_may_have_a_thousand_claims_open() {
    let mut machine = Net::new(3).machines[0].clone();
    let input = |number: u64| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_be_bytes());
        let task = Task { job: task(0).job, key: Key::from_bytes(key) };
        Input::Claim { task, born: Epoch(1), attempt: 1, lease: LEASE }
    };
    let now = Time::from_us(2);
    for number in 0..CLAIMS_MAX as u64 {
        machine.handle(now, input(number), &mut Vec::new()).unwrap();
    }
    let refused = machine.handle(now, input(CLAIMS_MAX as u64), &mut Vec::new());
    assert_eq!(refused, Err(Error::TooManyClaims { limit: CLAIMS_MAX }));
}
