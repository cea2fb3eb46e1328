//! Two hosts with one link: numbers both ways, through an outage.

use std::{
    io::{BufRead as _, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{
    Row,
    fleet::{boot_us, pause},
    ms,
    net::Net,
    row,
};

const NUMBERS: &str = "target/debug/examples/numbers";
/// How long it runs before and after the outage.
const CALM: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_secs(5);

/// A program that sends numbers until its stdin ends; killed when it is dropped.
struct Numbers {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Numbers {
    fn start(net: &Net, host: u8, dial: Option<u8>) -> Result<Self, String> {
        let program =
            Path::new(NUMBERS).canonicalize().map_err(|error| format!("{NUMBERS}: {error}"))?;
        let mut command = net.command(host, &program.display().to_string());
        for host in [host].into_iter().chain(dial) {
            command.args([format!("{}:7000", Net::address(host)), (host + 1).to_string()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    fn line(&mut self) -> Result<String, String> {
        let line = self.lines.next().and_then(Result::ok);
        line.ok_or_else(|| format!("{NUMBERS} ended: {:?}", self.child.try_wait()))
    }

    /// From here on it sends no more.
    fn stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// What came of it: all that the other end sent, once and in order, over one link.
    fn figures(&mut self) -> Result<Value, String> {
        let line = self.line()?;
        let figures: Value = serde_json::from_str(&line).map_err(|_| line.clone())?;
        let clean = figures["skipped"] == 0 && figures["repeated"] == 0 && figures["downs"] == 0;
        if clean && figures["links"] == 1 { Ok(figures) } else { Err(line) }
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn build() -> Result<(), String> {
    let words = ["build", "--locked", "-p", "formic-quic", "--example", "numbers"];
    match Command::new("cargo").args(words).status() {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("cargo {}: {other:?}", words.join(" "))),
    }
}

/// A number a millisecond each way, and the network is cut for five seconds: all arrive, once, in order, over the same link.
pub(super) fn reconnect() -> Result<Vec<Row>, String> {
    build()?;
    let net = Net::new(2)?;
    let mut acceptor = Numbers::start(&net, 0, None)?;
    // It has to listen first; a dial that comes too early is said again by QUIC.
    let mut dialer = Numbers::start(&net, 1, Some(0))?;
    for end in [&mut acceptor, &mut dialer] {
        end.line()?;
    }
    pause(CALM);
    net.cut(&[1])?;
    pause(OUTAGE);
    let dropped = net.heal()?;
    let healed = boot_us();
    pause(CALM);
    [&mut acceptor, &mut dialer].into_iter().for_each(Numbers::stop);
    let figures = [acceptor.figures()?, dialer.figures()?];
    let number = |name: &str| figures.each_ref().map(|it| it[name].as_u64().unwrap_or(0));
    let shortest = number("pause_us").into_iter().min().unwrap_or(0);
    if shortest < 4_000_000 {
        return Err(format!("the cut was not felt: the longest pause was {shortest} us"));
    }
    let back = number("resumed_us").into_iter().max().unwrap_or(0).saturating_sub(healed) / 1_000;
    Ok(vec![
        row("numbers that arrived, both ways", number("received").iter().sum::<u64>()),
        row("lost, doubled, out of order", 0),
        row("packets dropped in the cut of 5 s", dropped),
        row("pulses sent into it, both ends", number("pulses").iter().sum::<u64>()),
        row("heal until the first number at the later end", ms(back)),
    ])
}
