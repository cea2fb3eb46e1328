//! Event logs of several writers.

use crate::{EventLog, LogEvent, LogLine};

#[test]
fn lines_of_several_writers_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let epoch = EventLog::epoch();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let log = EventLog::file(&path, epoch).unwrap();
            std::thread::spawn(move || {
                for number in 0..200_u16 {
                    let note = "x".repeat(usize::from(number) * 10);
                    let (job, key) = ("j".to_owned(), "k".to_owned());
                    let event = LogEvent::TaskProgress { job, key, per_mille: number, note };
                    log.write(&writer.to_string(), event);
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<LogLine> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 800);
    for writer in 0..4 {
        let own = lines.iter().filter(|line| line.peer == writer.to_string());
        assert!(own.is_sorted_by_key(|line| line.at_us));
    }
}

#[test]
fn a_log_in_memory_can_be_read_back() {
    let log = EventLog::memory(EventLog::epoch());
    log.write("-", LogEvent::PeerStopped {});
    assert_eq!(log.lines().len(), 1);
    EventLog::none().write("-", LogEvent::PeerStopped {});
    assert_eq!(EventLog::none().lines(), []);
}

#[test]
fn a_full_disk_costs_a_warning_only() {
    let Ok(log) = EventLog::file("/dev/full".as_ref(), 0) else { return };
    log.write("-", LogEvent::PeerStopped {});
    log.write("-", LogEvent::PeerStopped {});
}
