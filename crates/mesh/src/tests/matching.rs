use formic_core::{Capability, Random};

use super::world::{delta, founder, handle, life, member_of, record};
use crate::{Candidate, Event, Excess, Input, Mesh, NoMatch, Record, Requirement};

fn capability(text: &str) -> Capability {
    text.parse().unwrap()
}

fn capabilities(texts: &[&str]) -> Vec<Capability> {
    texts.iter().copied().map(capability).collect()
}

#[test]
fn versions_are_served_within_their_major_one() {
    let mut mesh = member_of(1, &[2, 3]);
    let able = |n, texts: &[&str]| {
        let record = Record { capabilities: capabilities(texts), version: 2, ..record(n) };
        delta(n, vec![record])
    };
    handle(&mut mesh, able(2, &["rust@1.80"])).unwrap();
    handle(&mut mesh, able(3, &["rust@1.85", "rust@2.0"])).unwrap();
    assert_eq!(mesh.candidates(&[capability("rust@1.80")]), [life(2), life(3)]);
    assert_eq!(mesh.candidates(&[capability("rust@1.81")]), [life(3)]);
    assert_eq!(mesh.candidates(&[capability("rust@2.0")]), [life(3)]);
    assert_eq!(mesh.candidates(&[capability("rust")]), [life(2), life(3)]);
    assert_eq!(mesh.missing(&[capability("rust@3.0")]), [capability("rust@3.0")]);
}

#[test]
fn nobody_capable_is_explained() {
    let mut mesh = member_of(1, &[2, 3]);
    let able = Record { capabilities: capabilities(&["hash"]), version: 2, ..record(2) };
    handle(&mut mesh, delta(2, vec![able])).unwrap();
    let wanted = Requirement::of(&capabilities(&["gpu", "hash"]));
    let Err(NoMatch::Nobody(nobody)) = mesh.search(&wanted) else { panic!("somebody can") };
    assert_eq!(nobody.missing, [capability("gpu")]);
    assert_eq!(nobody.nearest[0], (life(2), vec![capability("gpu")]));
    assert_eq!(nobody.nearest.len(), 3);
}

#[test]
fn what_is_preferred_weighs() {
    let mut mesh = member_of(1, &[2]);
    let able = Record { capabilities: capabilities(&["a", "b"]), version: 2, ..record(2) };
    handle(&mut mesh, delta(2, vec![able])).unwrap();
    let preferred = vec![(capability("a"), 30), (capability("c"), 70)];
    let wanted = Requirement { preferred, exclude: vec![life(1).peer], ..Requirement::default() };
    let found = mesh.search(&wanted).unwrap();
    assert_eq!(found, [Candidate { life: life(2), fit: 30, saturated: false }]);
    let heavy = Requirement { preferred: vec![(capability("a"), 101)], ..Requirement::default() };
    assert_eq!(mesh.search(&heavy), Err(NoMatch::Excess(Excess::Weight { weight: 101 })));
}

#[test]
fn a_withdrawn_capability_is_told_and_not_found() {
    let mut mesh = member_of(1, &[2]);
    let able = |version, texts: &[&str]| {
        let record = Record { capabilities: capabilities(texts), version, ..record(2) };
        delta(2, vec![record])
    };
    handle(&mut mesh, able(2, &["a", "b"])).unwrap();
    let out = handle(&mut mesh, able(3, &["b", "c"])).unwrap();
    let (added, removed) = (capabilities(&["c"]), capabilities(&["a"]));
    let told = Event::CapabilitiesChanged { life: life(2), added, removed };
    assert!(out.contains(&crate::Effect::Event(told)), "{out:?}");
    assert_eq!(mesh.candidates(&[capability("a")]), []);
    assert_eq!(mesh.candidates(&[capability("c")]), [life(2)]);
}

/// M9 and the index against a filter that anybody can read.
#[test]
fn the_index_finds_what_a_plain_filter_finds() {
    let names = ["a", "b", "c", "d", "a@1.3", "a@2.0", "b@1.1", "c@0.9"];
    let labels = ["host=x", "host=y", "gpu=1"];
    let mut random = Random::new(9);
    let mut mesh = founder(1);
    let mut questions = 0;
    for round in 2..402_u64 {
        mutate(&mut mesh, &mut random, round, (&names, &labels));
        for _ in 0..250 {
            let wanted = requirement(&mut random, &names, &labels);
            let found =
                mesh.search(&wanted).map(|it| it.iter().map(|c| c.life).collect::<Vec<_>>());
            assert_eq!(found.unwrap_or_default(), naive(&mesh, &wanted), "{wanted:?}");
            questions += 1;
        }
    }
    assert_eq!(questions, 100_000);
}

fn some(random: &mut Random, of: &[&str], permille: u64) -> Vec<String> {
    let mut some: Vec<String> =
        of.iter().filter(|_| random.chance(permille)).map(|it| (*it).to_owned()).collect();
    some.sort();
    some
}

fn mutate(mesh: &mut Mesh, random: &mut Random, round: u64, (names, labels): (&[&str], &[&str])) {
    let n = 2 + random.below(20) as u8;
    if random.chance(200) || !mesh.is_member(life(n)) {
        let present: Vec<u8> = (1..22).filter(|_| random.chance(700)).collect();
        let members: Vec<u8> = [&[1], &present[..]].concat();
        let members: std::collections::BTreeSet<u8> = members.into_iter().collect();
        let members: Vec<u8> = members.into_iter().collect();
        let view = super::world::view(round, &members);
        handle(mesh, Input::View { view }).unwrap();
        for &n in members.iter().filter(|&&n| n != 1) {
            handle(mesh, Input::Up { life: life(n) }).unwrap();
        }
    }
    let texts = some(random, names, 400);
    let record = Record {
        capabilities: texts.iter().map(|it| capability(it)).collect(),
        labels: some(random, labels, 300),
        version: round,
        draining: random.chance(100),
        ..record(n)
    };
    handle(mesh, Input::LinkUp { life: life(n) }).unwrap();
    handle(mesh, delta(n, vec![record])).unwrap();
    if random.chance(300) {
        handle(mesh, Input::Suspect { life: life(n) }).unwrap();
    }
}

fn requirement(random: &mut Random, names: &[&str], labels: &[&str]) -> Requirement {
    let required = some(random, names, 150);
    let group = some(random, names, 300);
    Requirement {
        required: required.iter().map(|it| capability(it)).collect(),
        any_of: if group.is_empty() {
            vec![]
        } else {
            vec![group.iter().map(|it| capability(it)).collect()]
        },
        labels: some(random, labels, 100),
        exclude: (1..22).filter(|_| random.chance(50)).map(|n| life(n).peer).collect(),
        ..Requirement::default()
    }
}

fn naive(mesh: &Mesh, wanted: &Requirement) -> Vec<formic_core::Life> {
    let answers = |record: &&Record| {
        let serves = |it: &Capability| record.capabilities.iter().any(|has| has.serves(it));
        wanted.required.iter().all(serves)
            && wanted.any_of.iter().all(|group| group.iter().any(serves))
            && wanted.labels.iter().all(|label| record.labels.contains(label))
            && !wanted.exclude.contains(&record.life.peer)
            && !record.draining
    };
    let alive = mesh.members().filter(|(_, standing)| *standing == crate::Standing::Alive);
    alive.map(|(record, _)| record).filter(answers).map(|record| record.life).collect()
}
