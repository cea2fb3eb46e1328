//! `formic status --trails`: who does which kind of work how well, as one peer knows it.

use core::fmt::Write as _;

use formic::Life;
use formic_node::{MemberStatus, TrailStatus};
use serde_json::json;

use super::align;
use crate::args::TrailsFormat;

/// A table, a graph, or with `--json` an array.
pub(super) fn show(
    trails: &[TrailStatus],
    (me, members): (Life, &[MemberStatus]),
    (format, json): (TrailsFormat, bool),
) -> String {
    let names = Names(members);
    if json {
        return as_json(trails, me, &names);
    }
    match format {
        TrailsFormat::Table => table(trails, me, &names),
        TrailsFormat::Dot => dot(trails, &names),
        TrailsFormat::Mermaid => mermaid(trails, &names),
    }
}

struct Names<'a>(&'a [MemberStatus]);

impl Names<'_> {
    fn of(&self, trail: &TrailStatus) -> String {
        let member = self.0.iter().find(|member| member.life.peer == trail.peer);
        member.map_or_else(|| trail.peer.to_string(), |member| member.name.clone())
    }
}

fn as_json(trails: &[TrailStatus], me: Life, names: &Names<'_>) -> String {
    let rows: Vec<_> = trails
        .iter()
        .map(|trail| {
            json!({
                "kind": trail.kind, "peer": trail.peer.to_string(), "name": names.of(trail),
                "samples": trail.samples_milli as f64 / 1_000.0, "service_us": trail.service_us,
                "over_promise": f64::from(trail.honesty_permille) / 1_000.0,
            })
        })
        .collect();
    json!({ "me": me.to_string(), "trails": rows }).to_string()
}

fn table(trails: &[TrailStatus], me: Life, names: &Names<'_>) -> String {
    if trails.is_empty() {
        return format!("{} has learned nothing yet: no task that it placed is done\n", me);
    }
    let head = ["KIND", "PEER", "NAME", "SAMPLES", "SERVICE", "PROMISES"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(trails.iter().map(|trail| {
        let promises = if trail.honesty_permille > 1_000 {
            format!("broken x{:.1}", f64::from(trail.honesty_permille) / 1_000.0)
        } else {
            "kept".to_owned()
        };
        [
            trail.kind.clone(),
            trail.peer.short(),
            names.of(trail),
            format!("{:.1}", trail.samples_milli as f64 / 1_000.0),
            service(trail),
            promises,
        ]
    }));
    let mut out = String::new();
    align(&mut out, &rows);
    out
}

fn service(trail: &TrailStatus) -> String {
    if trail.service_us < 10_000 {
        return format!("{} us", trail.service_us);
    }
    crate::span::show_ms(trail.service_us / 1_000)
}

/// The wider the line, the faster the peer among those of the kind.
fn width(trails: &[TrailStatus], trail: &TrailStatus) -> u64 {
    let alike = trails.iter().filter(|other| other.kind == trail.kind);
    let best = alike.map(|other| other.service_us).min().unwrap_or(1);
    (best * 8 / trail.service_us.max(1)).clamp(1, 8)
}

fn dot(trails: &[TrailStatus], names: &Names<'_>) -> String {
    let mut out = "digraph trails {\n  rankdir=LR;\n".to_owned();
    for trail in trails {
        let (kind, name, label) = (&trail.kind, names.of(trail), service(trail));
        let width = width(trails, trail);
        // Writing to a String cannot fail.
        let (from, to) = (format!("kind {kind}"), trail.peer.to_string());
        let _ = writeln!(out, "  {from:?} [label={kind:?}, shape=box]; {to:?} [label={name:?}];");
        let _ = writeln!(out, "  {from:?} -> {to:?} [label={label:?}, penwidth={width}];");
    }
    out.push_str("}\n");
    out
}

fn mermaid(trails: &[TrailStatus], names: &Names<'_>) -> String {
    let mut out = "flowchart LR\n".to_owned();
    let mut kinds: Vec<&str> = trails.iter().map(|trail| trail.kind.as_str()).collect();
    kinds.dedup();
    for trail in trails {
        let number = kinds.iter().position(|kind| *kind == trail.kind).unwrap_or(0);
        let (kind, name, label) = (&trail.kind, names.of(trail), service(trail));
        let peer = trail.peer.short();
        // Writing to a String cannot fail.
        let (kind, name) = (kind.replace('"', "#quot;"), name.replace('"', "#quot;"));
        let _ = writeln!(out, "  k{number}[\"{kind}\"] -->|{label}| p{peer}[\"{name}\"]");
    }
    out
}

#[cfg(test)]
mod tests {
    use formic::{Incarnation, PeerId};

    use super::*;

    fn trail(n: u8, service_us: u64, honesty_permille: u32) -> TrailStatus {
        TrailStatus {
            kind: "hash".into(),
            peer: PeerId::from_bytes([n; 32]),
            samples_milli: 2_500,
            service_us,
            honesty_permille,
        }
    }

    fn shown(trails: &[TrailStatus], format: TrailsFormat) -> String {
        let me = Life::new(PeerId::from_bytes([9; 32]), Incarnation(1));
        show(trails, (me, &[]), (format, false))
    }

    #[test]
    fn who_does_what_how_well_is_a_table() {
        let table = shown(&[trail(1, 2_000, 1_000), trail(2, 16_000, 4_200)], TrailsFormat::Table);
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["KIND", "PEER", "NAME", "SAMPLES", "SERVICE", "PROMISES"]);
        assert_eq!((rows[1][0], rows[1][1], rows[1][3]), ("hash", "01010101", "2.5"));
        assert!(table.contains("2000 us") && table.contains("16 ms"));
        assert!(table.contains("kept") && table.contains("broken x4.2"), "{table}");
        assert!(shown(&[], TrailsFormat::Table).contains("has learned nothing yet"));
    }

    #[test]
    fn the_faster_has_the_wider_line() {
        let dot = shown(&[trail(1, 2_000, 1_000), trail(2, 16_000, 1_000)], TrailsFormat::Dot);
        assert!(dot.contains("penwidth=8") && dot.contains("penwidth=1") && dot.ends_with("}\n"));
        let mermaid = shown(&[trail(1, 2_000, 1_000)], TrailsFormat::Mermaid);
        assert!(mermaid.contains("k0[\"hash\"] -->|2000 us| p01010101["), "{mermaid}");
    }
}
