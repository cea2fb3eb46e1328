use core::time::Duration;

use formic_core::{Epoch, Protocol as _};

use super::world::{World, life};
use crate::{Effect, Event, Fate, ForceRefusal, Input, Message, Standing};

const SECOND: Duration = Duration::from_secs(1);

fn split(side: &[usize]) -> World {
    let mut world = World::new(10, 8);
    world.run(SECOND);
    world.split(side);
    world
}

#[test]
fn four_of_ten_know_that_they_are_few_and_decide_nothing() {
    let minority = [1, 4, 5, 8];
    let mut world = split(&minority);
    world.run(Duration::from_millis(1_200));
    for n in 0..10 {
        let expected = if minority.contains(&n) { Standing::Lost } else { Standing::Held };
        assert_eq!(world.standing(n), expected, "{n}");
    }
    world.run(SECOND * 8);
    for n in minority {
        assert_eq!(world.view(n).epoch.0, 1, "{n}");
    }
    for n in [0, 2, 3, 6, 7, 9] {
        assert_eq!(world.view(n).members.len(), 6, "{n}");
    }
    world.check_history();
}

#[test]
fn of_two_halves_the_anchors_decides() {
    let anchored = [0, 1, 4, 5, 8];
    let mut world = split(&anchored);
    world.run(SECOND * 5);
    for n in 0..10 {
        let with_anchor = anchored.contains(&n);
        assert_eq!(world.standing(n) == Standing::Held, with_anchor, "{n}");
        assert_eq!(world.view(n).members.len(), if with_anchor { 5 } else { 10 }, "{n}");
    }
    world.check_history();
}

#[test]
fn a_minority_keeps_its_verdicts_to_itself_for_three_seconds() {
    let minority = [1, 4, 5, 8];
    let mut world = split(&minority);
    let at = world.now;
    world.run(SECOND * 6);
    let downs: Vec<_> = world
        .events
        .iter()
        .filter(|(_, by, event)| minority.contains(by) && matches!(event, Event::Down { .. }))
        .collect();
    assert_eq!(downs.len(), 4 * 6, "each misses the other six");
    for (when, by, event) in downs {
        assert!(when.since(at) >= SECOND * 3, "{by} after {:?}: {event:?}", when.since(at));
        assert!(matches!(event, Event::Down { standing: Standing::Lost, .. }));
    }
}

#[test]
fn a_short_cut_costs_the_minority_nothing() {
    let minority = [1, 4, 5, 8];
    let mut world = split(&minority);
    world.run(Duration::from_millis(700));
    world.cut.clear();
    world.run(SECOND * 4);
    let others: Vec<_> = [0, 2, 3, 6, 7, 9].map(|n| life(n, 1)).to_vec();
    let downs = world.events.iter().filter(|(_, by, event)| {
        let other = matches!(event, Event::Down { life, .. } if others.contains(life));
        minority.contains(by) && other
    });
    assert_eq!(downs.count(), 0);
    assert!((0..10).all(|n| world.standing(n) == Standing::Held));
    assert!((0..10).all(|n| world.view(n).epoch.0 == 1), "nobody was evicted");
    world.check_history();
}

#[test]
fn after_the_heal_the_few_learn_that_they_were_evicted() {
    let minority = [1, 4, 5, 8];
    let mut world = split(&minority);
    world.run(SECOND * 10);
    world.cut.clear();
    let at = world.now;
    world.run(SECOND);
    for n in minority {
        let evicted = world.events.iter().find(|(_, by, event)| {
            *by == n && matches!(event, Event::EvictedSelf { next, .. } if next.0 == 2)
        });
        let (when, _, _) = evicted.unwrap();
        assert!(when.since(at) <= Duration::from_millis(300), "{n}: {:?}", when.since(at));
    }
    world.check_history();
}

#[test]
fn margin_counts_crashes_until_the_majority_is_lost() {
    for (count, margin) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (7, 3), (10, 4)] {
        let mut world = World::new(count, 1);
        world.run(SECOND);
        assert_eq!(world.hosts[0].machine.margin(), Some(margin), "{count} members");
    }
}

#[test]
fn an_operator_goes_on_with_three_of_ten() {
    let mut world = World::new(10, 8);
    world.run(SECOND);
    let force = |epoch| Input::ForceView {
        members: [0, 1, 2].map(|n| life(n, 1).peer).to_vec(),
        epoch: Epoch(epoch),
        reason: "the other hosts burnt".to_owned(),
    };
    world.feed(0, force(1));
    let refused = |world: &World| match world.events.last() {
        Some((_, 0, Event::ForceRefused { reason })) => Some(*reason),
        _ => None,
    };
    assert_eq!(refused(&world), Some(ForceRefusal::QuorumHeld));
    (3..10).for_each(|n| world.crash(n));
    world.run(SECOND * 3);
    assert_eq!(world.standing(0), Standing::Lost);
    world.feed(0, force(7));
    assert_eq!(refused(&world), Some(ForceRefusal::WrongEpoch { ours: Epoch(1) }));
    world.feed(0, force(1));
    world.run(SECOND);
    for n in 0..3 {
        let view = world.view(n);
        assert_eq!((view.epoch.0, view.members.len()), ((1 << 32) + 1, 3));
        assert_eq!(view.forced.as_ref().unwrap().dropped.len(), 7);
        assert_eq!(world.standing(n), Standing::Held);
    }
    world.check_history();
}

#[test]
fn a_listed_member_that_is_gone_stops_the_operator() {
    let mut world = World::new(5, 8);
    world.run(SECOND);
    (2..5).for_each(|n| world.crash(n));
    world.run(SECOND * 3);
    let members = [0, 1, 2].map(|n| life(n, 1).peer).to_vec();
    world.feed(0, Input::ForceView { members, epoch: Epoch(1), reason: "fire".to_owned() });
    world.run(SECOND * 3);
    let reason = ForceRefusal::NoConsent { missing: 1 };
    let expected = Event::ForceRefused { reason };
    assert!(world.events.iter().any(|(_, by, event)| *by == 0 && *event == expected));
    assert_eq!(world.view(0).epoch.0, 1);
}

/// All others went on without it, as lives that it never met: node seed 54283.
#[test]
fn who_has_no_majority_asks_whoever_it_meets_for_later_views() {
    let mut world = World::new(3, 4);
    world.run(SECOND);
    world.split(&[2]);
    world.run(SECOND * 3);
    assert_eq!(world.standing(2), Standing::Lost);
    let (later, epoch) = (world.view(0), world.view(2).epoch);
    assert!(later.epoch > epoch && !later.contains(life(2, 1)), "{later:?}");
    let stranger = life(9, 1);
    let asks = Effect::Send { to: stranger, message: Message::Want { epoch } };
    let mut alone = world.hosts[2].machine.clone();
    let mut feed = |at, input| {
        let mut out = Vec::new();
        alone.handle(at, input, &mut out).unwrap();
        out
    };
    let at = world.now;
    let out = feed(at, Input::LinkUp { life: stranger, fate: Fate::Own });
    assert!(out.contains(&asks), "{out:?}");
    let out = feed(at + SECOND, Input::Deadline);
    assert!(out.contains(&asks), "again: a link may end with the answer, {out:?}");
    let views = vec![later];
    let out =
        feed(at + SECOND, Input::Message { from: stranger, message: Message::Committed { views } });
    let evicted = |effect: &Effect| matches!(effect, Effect::Event(Event::EvictedSelf { .. }));
    assert!(out.iter().any(evicted), "{out:?}");
}

/// Node seed 45698: it woke among members that had gone on or away meanwhile, and told a result.
#[test]
fn whoever_stood_still_knows_of_no_majority_before_it_hears_one_anew() {
    let mut world = World::new(5, 3);
    world.run(SECOND);
    world.stall(0, SECOND * 2);
    world.run(SECOND);
    world.split(&[0]);
    world.run(SECOND + Duration::from_millis(1));
    assert_eq!(world.standing(0), Standing::Lost, "what waited for it is no sign of life");
    world.run(SECOND);
    assert_eq!(world.standing(0), Standing::Lost);
    let mut world = World::new(5, 3);
    world.run(SECOND);
    world.stall(0, Duration::from_millis(700));
    world.run(Duration::from_millis(701));
    assert_eq!(world.standing(0), Standing::Lost);
    world.run(Duration::from_millis(300));
    assert_eq!(world.standing(0), Standing::Held, "they are all there");
}
