use std::path::Path;

use formic::LogLine;

use super::{Story, tell};

const LOG: &str = r#"
{"at_us":1000,"peer":"-","event":"run_started","version":"0.1.0","plan":"p.yaml","peers":2,"transport":"quic","seed":7,"durable":false}
{"at_us":2000,"peer":"x.1","event":"peer_started","name":"p1","pid":10,"capabilities":["hash"],"slots":1,"address":"quic:a"}
{"at_us":3000,"peer":"y.1","event":"peer_started","name":"p2","pid":11,"capabilities":[],"slots":2,"address":"quic:b"}
{"at_us":10000,"peer":"x.1","event":"job_accepted","job":"j0b","home":["x.1"]}
{"at_us":12000,"peer":"x.1","event":"task_spawned","job":"j0b","owner":"r","key":"aaaa1","kind":"k","name":"tree"}
{"at_us":13000,"peer":"x.1","event":"task_placed","job":"j0b","key":"aaaa1","attempt":1,"who":"y.1","promised_ms":40}
{"at_us":13500,"peer":"y.1","event":"task_started","job":"j0b","key":"aaaa1","attempt":1}
{"at_us":14000,"peer":"y.1","event":"task_spawned","job":"j0b","owner":"aaaa1","key":"bbbb2","kind":"k","name":"sub"}
{"at_us":20000,"peer":"-","event":"chaos_kill","who":"y.1","pid":11}
{"at_us":50000,"peer":"x.1","event":"peer_down","who":"y.1","reason":"silent"}
{"at_us":51000,"peer":"x.1","event":"task_respawned","job":"j0b","key":"aaaa1","attempt":2,"from":"y.1"}
{"at_us":52000,"peer":"x.1","event":"task_started","job":"j0b","key":"aaaa1","attempt":2}
{"at_us":53000,"peer":"x.1","event":"task_unplaceable","job":"j0b","key":"bbbb2","missing":["gpu"]}
{"at_us":2054000,"peer":"-","event":"run_finished","verdict":"timeout","exit":5}
"#;

fn lines() -> Vec<LogLine> {
    LOG.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_job_is_told_with_what_was_left_open() {
    let lines = lines();
    let told = tell(&Story::of(&lines), None, Path::new("f")).unwrap();
    assert_eq!(
        told,
        "job j0b\n     \
         0.001 s  p.yaml: 2 peers over quic, state in memory only, seed 7\n     \
         0.002 s  p1 (x.1) started: hash; 1 at once\n     \
         0.003 s  p2 (y.1) started: anything; 2 at once\n     \
         0.010 s  the job was accepted; home: p1 (x.1)\n     \
         0.020 s  p2 (y.1) was killed on purpose\n     \
         0.050 s  p1 (x.1) noticed that p2 (y.1) is gone (silent); 1 peer knew within 0 ms\n     \
         0.051 s  p1 (x.1) had 1 task at p2 (y.1): they are executed again\n     \
         0.053 s  `sub` waits: no single live peer has gpu\n     \
         2.054 s  the command ended: timeout (exit 5)\n\
         1 left open; everything above them waited for:\n  \
         tree > sub: no live peer has gpu\n"
    );
    assert_eq!(tell(&Story::of(&lines), Some("j0"), Path::new("f")).unwrap(), told);
}

#[test]
fn a_task_is_told_by_name_or_id() {
    let lines = lines();
    let told = tell(&Story::of(&lines), Some("tree"), Path::new("f")).unwrap();
    assert_eq!(
        told,
        "task aaaa1 `tree`\n     \
         0.012 s  spawned by `the plan` at p1 (x.1), kind k\n     \
         0.013 s  attempt 1 was sent to p2 (y.1), expected within 40 ms\n     \
         0.013 s  attempt 1 started at p2 (y.1)\n     \
         0.051 s  p1 (x.1) gave it up at p2 (y.1), which is gone: attempt 2\n     \
         0.052 s  attempt 2 started at p1 (x.1)\n\
         It waited for 1 children: 0 done, 1 open\n"
    );
    assert_eq!(tell(&Story::of(&lines), Some("aaaa"), Path::new("f")).unwrap(), told);
    let refused = tell(&Story::of(&lines), Some("nope"), Path::new("f")).unwrap_err();
    assert_eq!(refused.message, "f knows no job and no task `nope`");
}
