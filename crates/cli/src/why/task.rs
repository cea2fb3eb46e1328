use formic::{LogEvent, LogLine};

use super::story::{Story, stamp};
use crate::{
    decision,
    report::{cut, thousands},
};

/// All that happened to one task.
pub(crate) fn tell(story: &Story<'_>, key: &str) -> String {
    let mut out = format!("task {key} `{}`\n", story.name(key));
    for line in story.lines {
        if let Some(text) = about(story, line, key) {
            out.push_str(&stamp(line.at_us, &text));
        }
    }
    let children = story.owners.iter().filter(|(_, owner)| **owner == key);
    let states = children.map(|(child, _)| story.states.get(child));
    let (mut done, mut open) = (0, 0);
    for state in states {
        match state {
            Some(super::story::State::Done { .. }) => done += 1,
            _ => open += 1,
        }
    }
    if done + open > 0 {
        out.push_str(&format!(
            "It waited for {} children: {} done, {} open\n",
            thousands(done + open),
            thousands(done),
            thousands(open)
        ));
    }
    out
}

fn about(story: &Story<'_>, line: &LogLine, wanted: &str) -> Option<String> {
    let at = story.peer(&line.peer);
    let peer = |life: &str| story.peer(life);
    let (key, text) = match &line.event {
        LogEvent::TaskSpawned { key, owner, kind, .. } => {
            (key, format!("spawned by `{}` at {at}, kind {kind}", story.name(owner)))
        }
        LogEvent::TaskPlaced { key, attempt, who, promised_ms, .. } => {
            let within = match promised_ms {
                0 => String::new(), // A log from before promises were told.
                ms => format!(", expected within {}", crate::span::show_ms(*ms)),
            };
            (key, format!("attempt {attempt} was sent to {}{within}", peer(who)))
        }
        LogEvent::TaskUnplaceable { key, missing, .. } => {
            (key, format!("it waits: no single live peer has {}", missing.join(", ")))
        }
        LogEvent::TaskStarted { key, attempt, fence, .. } => {
            let held = fence.as_ref().map_or_else(String::new, |it| format!(" under fence {it}"));
            (key, format!("attempt {attempt} started at {at}{held}"))
        }
        LogEvent::TaskProgress { key, per_mille, note, .. } => {
            (key, format!("{}.{} % {}", per_mille / 10, per_mille % 10, cut(note)))
        }
        LogEvent::TaskLog { key, level, message, .. } => {
            (key, format!("{level}: {}", cut(message)))
        }
        LogEvent::TaskFinished { key, outcome, detail, .. } => {
            let detail =
                if detail.is_empty() { String::new() } else { format!(": {}", cut(detail)) };
            (key, format!("its body ended at {at}: {outcome}{detail}"))
        }
        LogEvent::TaskDone { key, owner, by, outcome, .. } => {
            let owner = story.name(owner);
            (key, format!("`{owner}` at {at} has the result of {}: {outcome}", peer(by)))
        }
        LogEvent::TaskRespawned { key, attempt, from, .. } => {
            (key, format!("{at} gave it up at {}, which is gone: attempt {attempt}", peer(from)))
        }
        LogEvent::TaskDropped { key, .. } => {
            (key, format!("dropped at {at}: nobody waits for it there"))
        }
        LogEvent::TaskDivergent { key, .. } => {
            (key, format!("{at} saw a second, different result and did not use it"))
        }
        _ => return claimed(story, line, wanted),
    };
    (key == wanted).then_some(text)
}

/// Exclusive tasks.
fn claimed(story: &Story<'_>, line: &LogLine, wanted: &str) -> Option<String> {
    let at = story.peer(&line.peer);
    let (key, text) = match &line.event {
        LogEvent::TaskHeld { key, remaining_ms, .. } => {
            (key, format!("{at} waits up to {remaining_ms} ms for the lease of its last holder"))
        }
        LogEvent::LeaseLost { key, .. } => {
            (key, format!("{at} lost its lease and stopped the body"))
        }
        LogEvent::TaskAdopted { key, .. } => {
            (key, format!("{at} does not run it: its result is decided already"))
        }
        LogEvent::TaskUndecided { key, missing, .. } => {
            let missing: Vec<_> = missing.iter().map(|who| story.peer(who)).collect();
            (key, format!("{at} waits for {}, which keep what is known of it", missing.join(", ")))
        }
        _ => return voted(story, line, wanted),
    };
    (key == wanted).then_some(text)
}

fn voted(story: &Story<'_>, line: &LogLine, wanted: &str) -> Option<String> {
    let at = story.peer(&line.peer);
    let (key, text) = match &line.event {
        LogEvent::DecisionAsked { key, voters, author, .. } => {
            let author = author.as_ref().map_or_else(String::new, |who| {
                format!(", {} not among the judges: it is its work", story.voter(who))
            });
            (key, format!("{at} asks {voters} voters about the result{author}"))
        }
        LogEvent::BallotCast { key, ballot, .. } => {
            (key, format!("{at} casts its ballot: {}", decision::in_words(ballot)))
        }
        LogEvent::DecisionMade { key, words, ballots, liars, .. } => {
            let mut text = format!("the voters decided: {words}");
            for (who, ballot) in ballots {
                text.push_str(&format!("; {}: {}", story.voter(who), decision::in_words(ballot)));
            }
            for who in liars {
                text.push_str(&format!("; LIAR: {}", story.voter(who)));
            }
            (key, text)
        }
        LogEvent::DecisionStalled { key, missing, .. } => {
            let missing: Vec<String> = missing.iter().map(|who| story.voter(who)).collect();
            (key, format!("{at} waits for the votes of {}", missing.join(", ")))
        }
        _ => return None,
    };
    (key == wanted).then_some(text)
}
