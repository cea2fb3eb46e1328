use formic::LogLine;

use super::Report;

/// A job of root r with children a, b; a spawned c. Peer x.1 (home), y.1; y.1 is killed, its work respawned.
const LOG: &str = r#"
{"at_us":0,"peer":"-","event":"run_started","version":"0.1.0","plan":"p","peers":3,"transport":"quic","seed":7,"durable":false}
{"at_us":2000,"peer":"x.1","event":"peer_started","name":"p1","pid":10,"capabilities":["hash"],"slots":1,"address":"quic:a"}
{"at_us":3000,"peer":"y.1","event":"peer_started","name":"p2","pid":11,"capabilities":["hash","fs"],"slots":1,"address":"quic:b"}
{"at_us":3500,"peer":"z.1","event":"peer_started","name":"p3","pid":12,"capabilities":[],"slots":1,"address":"quic:c"}
{"at_us":4000,"peer":"x.1","event":"peer_joined","mesh":"m","members":1}
{"at_us":5000,"peer":"y.1","event":"peer_joined","mesh":"m","members":2}
{"at_us":6000,"peer":"z.1","event":"peer_joined","mesh":"m","members":3}
{"at_us":10000,"peer":"x.1","event":"job_accepted","job":"j","home":["x.1"]}
{"at_us":11000,"peer":"x.1","event":"task_started","job":"j","key":"r","attempt":1}
{"at_us":12000,"peer":"x.1","event":"task_spawned","job":"j","owner":"r","key":"a","kind":"k","name":"a"}
{"at_us":12000,"peer":"x.1","event":"task_spawned","job":"j","owner":"r","key":"b","kind":"k","name":"b"}
{"at_us":13000,"peer":"y.1","event":"task_started","job":"j","key":"a","attempt":1}
{"at_us":14000,"peer":"y.1","event":"task_spawned","job":"j","owner":"a","key":"gone","kind":"k","name":"of the lost attempt"}
{"at_us":15000,"peer":"x.1","event":"task_started","job":"j","key":"b","attempt":1}
{"at_us":16000,"peer":"x.1","event":"task_finished","job":"j","key":"b","outcome":"ok","detail":""}
{"at_us":16500,"peer":"x.1","event":"task_done","job":"j","owner":"r","key":"b","by":"x.1","outcome":"ok"}
{"at_us":20000,"peer":"-","event":"chaos_kill","who":"y.1","pid":11}
{"at_us":50000,"peer":"x.1","event":"peer_down","who":"y.1","reason":"silent"}
{"at_us":80000,"peer":"z.1","event":"peer_down","who":"y.1","reason":"silent"}
{"at_us":81000,"peer":"x.1","event":"task_respawned","job":"j","key":"a","attempt":2,"from":"y.1"}
{"at_us":95000,"peer":"z.1","event":"task_started","job":"j","key":"a","attempt":2}
{"at_us":96000,"peer":"z.1","event":"task_spawned","job":"j","owner":"a","key":"c","kind":"k","name":"c"}
{"at_us":97000,"peer":"z.1","event":"task_started","job":"j","key":"c","attempt":1}
{"at_us":98000,"peer":"z.1","event":"task_finished","job":"j","key":"c","outcome":"failed","detail":"no"}
{"at_us":98500,"peer":"z.1","event":"task_done","job":"j","owner":"a","key":"c","by":"z.1","outcome":"failed"}
{"at_us":99000,"peer":"z.1","event":"task_finished","job":"j","key":"a","outcome":"ok","detail":""}
{"at_us":99500,"peer":"x.1","event":"task_done","job":"j","owner":"r","key":"a","by":"z.1","outcome":"ok"}
{"at_us":110000,"peer":"x.1","event":"job_complete","job":"j","outcome":"ok"}
{"at_us":120000,"peer":"x.1","event":"job_verdict","job":"j","outcome":"ok","excluded":["y.1"],"tasks":3,"executions":4}
{"at_us":121000,"peer":"x.1","event":"peer_counters","work":5,"control":6,"probes":7}
{"at_us":130000,"peer":"z.1","event":"job_verdict","job":"j","outcome":"ok","excluded":["y.1"],"tasks":3,"executions":4}
{"at_us":131000,"peer":"z.1","event":"peer_counters","work":1,"control":1,"probes":1}
{"at_us":140000,"peer":"x.1","event":"peer_stopped"}
{"at_us":150000,"peer":"-","event":"run_finished","verdict":"complete","exit":0}
"#;

fn measured(log: &str) -> Report {
    let lines = log.lines().filter(|line| !line.is_empty());
    let lines: Vec<LogLine> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut report = Report::default();
    report.measure(&lines, Some("j"));
    report
}

fn without(part: &str) -> String {
    let kept: Vec<&str> = LOG.lines().filter(|line| !line.contains(part)).collect();
    assert!(kept.len() < LOG.lines().count(), "{part} is not in the log");
    kept.join("\n")
}

#[test]
fn tasks_are_those_of_the_execution_that_counts() {
    let tasks = measured(LOG).tasks;
    // `gone` was spawned by the attempt that died with its peer: nobody owes it.
    assert_eq!((tasks.total, tasks.ok, tasks.failed), (Some(3), Some(2), Some(1)));
    assert_eq!((tasks.executions, tasks.respawned), (Some(4), Some(1)));
    assert_eq!(
        (tasks.duplicates, tasks.lost, tasks.divergent_results),
        (Some(0), Some(0), Some(0))
    );
}

#[test]
fn a_spawned_task_without_result_is_lost() {
    let report = measured(&without(r#""owner":"a","key":"c","by""#));
    assert_eq!((report.tasks.lost, report.tasks.total), (Some(1), Some(3)));
    let report = measured(&without(r#""owner":"r","key":"a","by""#));
    assert_eq!(report.tasks.lost, Some(1));
}

#[test]
fn before_the_decision_nothing_is_called_lost() {
    assert_eq!(measured(&without("job_complete")).tasks.lost, None);
}

#[test]
fn a_body_that_does_not_count_is_a_duplicate() {
    let late = r#"{"at_us":99600,"peer":"y.1","event":"task_finished","job":"j","key":"a","outcome":"ok","detail":""}"#;
    assert_eq!(measured(&format!("{LOG}{late}")).tasks.duplicates, Some(1));
    let twice = r#"{"at_us":99600,"peer":"z.1","event":"task_finished","job":"j","key":"a","outcome":"ok","detail":""}"#;
    assert_eq!(measured(&format!("{LOG}{twice}")).tasks.duplicates, Some(1));
}

#[test]
fn times_are_those_of_the_log() {
    let ms = measured(LOG).ms;
    assert_eq!((ms.spawn, ms.first_task, ms.last_body), (Some(6), Some(13), Some(99)));
    assert_eq!((ms.complete, ms.quiescent, ms.everyone_knows), (Some(110), Some(120), Some(130)));
    assert_eq!((ms.detect_max, ms.respawn_max, ms.total), (Some(60), Some(75), Some(150)));
}

#[test]
fn not_everyone_knows_while_a_live_peer_has_no_verdict() {
    let report = measured(&without(r#""peer":"z.1","event":"job_verdict""#));
    assert_eq!(report.ms.everyone_knows, None);
}

#[test]
fn peers_and_messages_are_counted() {
    let report = measured(LOG);
    let peers = report.peers;
    assert_eq!((peers.started, peers.killed, peers.alive), (Some(3), Some(1), Some(2)));
    assert_eq!(peers.by_capability, [("fs".to_owned(), 1), ("hash".to_owned(), 2)].into());
    let sent = report.messages;
    assert_eq!((sent.work, sent.control, sent.probes), (Some(6), Some(7), Some(8)));
    assert_eq!(
        (report.transport.as_str(), report.seed, report.durable),
        ("quic", Some(7), Some(false))
    );
}

#[test]
fn a_tail_is_known_to_whoever_adopted_it() {
    let log = LOG.replace(
        r#""peer":"z.1","event":"task_done","job":"j","owner":"a","key":"c""#,
        r#""peer":"x.1","event":"task_done","job":"j","owner":"r","key":"c""#,
    );
    let tasks = measured(&log).tasks;
    assert_eq!((tasks.lost, tasks.total), (Some(0), Some(3)));
}

#[test]
fn a_resumed_run_counts_its_own_times_and_peers_and_all_tasks() {
    let before = r#"
{"at_us":0,"peer":"-","event":"run_started","version":"0.1.0","plan":"p","peers":1,"transport":"quic","seed":7,"durable":true}
{"at_us":100,"peer":"w.1","event":"peer_started","name":"p1","pid":10,"capabilities":[],"slots":1,"address":"quic:a"}
{"at_us":200,"peer":"-","event":"chaos_kill","who":"w.1","pid":10}
{"at_us":300,"peer":"w.1","event":"task_finished","job":"j","key":"b","outcome":"ok","detail":""}"#;
    let later: Vec<LogLine> = LOG
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<LogLine>(line).unwrap())
        .map(|line| LogLine { at_us: line.at_us + 5_000_000, ..line })
        .collect();
    let mut lines: Vec<LogLine> = before
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines.extend(later);
    let mut report = Report::default();
    report.measure(&lines, Some("j"));
    assert_eq!(report.ms, measured(LOG).ms);
    assert_eq!(report.peers, measured(LOG).peers);
    assert_eq!((report.tasks.lost, report.tasks.duplicates), (Some(0), Some(1)));
}

#[test]
fn the_screen_is_one_screen() {
    let mut report = measured(LOG);
    report.verdict = "complete".to_owned();
    report.topology = "mesh".to_owned();
    report.result = [("a".to_owned(), "x\u{1b}[31m".into()), ("b".to_owned(), ().into())].into();
    report.errors = [("b".to_owned(), "exit status 3".to_owned())].into();
    report.certificate = Some("c.json".to_owned());
    assert_eq!(
        report.screen(),
        "complete, not ok: 1 of 3 tasks failed\n  \
           a          x\u{fffd}[31m\n  \
           b          FAILED: exit status 3\n  \
           tasks      3 done, 4 executed, 1 respawned, 0 wasted, 0 lost\n  \
           peers      3 started, 1 killed, 2 left (mesh over quic, state in memory only)\n  \
           times      peers up 6 ms, first task 13 ms, last body 99 ms, complete 110 ms, everyone knows 130 ms\n             \
           a kill was known everywhere in 60 ms, its work ran again after 75 ms at most\n  \
           proof      formic verify c.json\n"
    );
}
