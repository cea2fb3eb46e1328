//! Hosts in one kernel: network namespaces on a bridge of their own, and what goes wrong between them.
//!
//! ```text
//!   fxPID-0 .. fxPID-N: eth0 10.77.0.(n+1)/24 --veth--> fxPID-sw: bridge br0
//!   faults: nftables rules at the receiving end, which count what they drop
//! ```

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

/// Namespaces that are gone when this is dropped, or when this program ends in any other way, with all processes in them.
pub(crate) struct Net {
    prefix: String,
    hosts: u8,
    janitor: Child,
}

/// Ends the namespaces whose names begin with `$0`, and what runs in them.
const SWEEP: &str = "for name in $(ip netns list | cut -d' ' -f1 | grep \"^$0\"); do \
    ip netns pids $name | xargs -r kill -9; ip netns del $name; done";

/// Sweeps when its stdin ends: that happens also when this program is killed. Ctrl-C does not reach it, because its
/// process group is its own.
fn janitor(prefix: &str) -> Result<Child, String> {
    let script = format!("cat >/dev/null; {SWEEP}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, &format!("{prefix}-")]).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(|error| format!("sh: {error}"))
}

/// Removes what programs like this one left behind that were killed together with their janitor.
///
/// # Errors
/// The machine refused.
pub(crate) fn sweep_stale() -> Result<(), String> {
    for name in sh("ip", &["netns", "list"])?.lines() {
        let Some((owner, _)) = name.strip_prefix("fx").and_then(|rest| rest.split_once('-')) else {
            continue;
        };
        let is_ours = owner.parse::<u32>().is_ok();
        let program = fs::read_to_string(format!("/proc/{owner}/comm")).unwrap_or_default();
        if is_ours && program.trim() != "xtask" {
            sh("sh", &["-c", SWEEP, &format!("fx{owner}-")])?;
        }
    }
    Ok(())
}

/// Runs a program to its end.
///
/// # Errors
/// It did not start, or said that it failed.
pub(crate) fn sh(program: &str, words: &[&str]) -> Result<String, String> {
    let told = || format!("{program} {}", words.join(" "));
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", told()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{}: {}", told(), String::from_utf8_lossy(&output.stderr).trim()))
}

fn ip(line: &str) -> Result<(), String> {
    sh("ip", &line.split_whitespace().collect::<Vec<_>>()).map(drop)
}

/// What this machine lacks, if anything.
pub(crate) fn missing() -> Option<String> {
    let has = |program: &str| sh(program, &["-V"]).is_ok() || sh(program, &["--version"]).is_ok();
    if let Some(program) = ["ip", "nft"].into_iter().find(|program| !has(program)) {
        return Some(format!("{program} is not installed: run .ci/setup"));
    }
    let name = format!("fx{}-t", std::process::id());
    let works = ip(&format!("netns add {name}"));
    drop(ip(&format!("netns del {name}")));
    works.err().map(|why| format!("no network namespaces (root is needed): {why}"))
}

impl Net {
    /// So many hosts that all reach each other.
    ///
    /// # Errors
    /// What the machine refused; nothing is left behind.
    pub(crate) fn new(hosts: u8) -> Result<Self, String> {
        let prefix = format!("fx{}", std::process::id());
        let net = Self { janitor: janitor(&prefix)?, prefix, hosts };
        let switch = net.switch();
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add br0 type bridge"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for host in 0..hosts {
            let (name, port) = (net.name(host), format!("p{host}"));
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {switch} link add {port} type veth peer name eth0 netns {name}"))?;
            ip(&format!("-n {switch} link set {port} master br0 up"))?;
            ip(&format!("-n {name} addr add {}/24 dev eth0", Self::address(host)))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            net.nft(host, "add table inet faults")?;
            net.nft(host, "add chain inet faults in { type filter hook input priority 0; }")?;
        }
        Ok(net)
    }

    /// No packet of any host has more bytes than this.
    ///
    /// # Errors
    /// The machine refused.
    pub(crate) fn limit(&self, mtu: u16) -> Result<(), String> {
        for host in 0..self.hosts {
            ip(&format!("-n {} link set eth0 mtu {mtu}", self.name(host)))?;
            ip(&format!("-n {} link set p{host} mtu {mtu}", self.switch()))?;
        }
        Ok(())
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }

    fn name(&self, host: u8) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// Where a host is reached.
    pub(crate) const fn address(host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, host + 1)
    }

    /// A program on a host.
    pub(crate) fn command(&self, host: u8, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(host), program]);
        command
    }

    fn nft(&self, host: u8, line: &str) -> Result<String, String> {
        let name = self.name(host);
        let words = ["netns", "exec", &name, "nft"];
        sh("ip", &[&words[..], &line.split_whitespace().collect::<Vec<_>>()].concat())
    }

    /// Of the packets that `to` gets from `from`, so many of a hundred are lost from now on.
    ///
    /// # Errors
    /// nft refused.
    pub(crate) fn lose(&self, from: u8, to: u8, percent: u32) -> Result<(), String> {
        self.nft(to, &rule(from, percent)).map(drop)
    }

    /// Nothing passes between these hosts and all others, in both directions.
    ///
    /// # Errors
    /// nft refused.
    pub(crate) fn cut(&self, side: &[u8]) -> Result<(), String> {
        for to in 0..self.hosts {
            let beyond = |from: &u8| side.contains(from) != side.contains(&to);
            let rules: Vec<String> =
                (0..self.hosts).filter(beyond).map(|from| rule(from, 100)).collect();
            // One call a host: the cut is to come at once.
            self.nft(to, &rules.join(" ; "))?;
        }
        Ok(())
    }

    /// All is well again. Returns how many packets were lost: a fault that hit nothing tested nothing.
    ///
    /// # Errors
    /// nft refused, or nothing was lost.
    pub(crate) fn heal(&self) -> Result<u64, String> {
        let mut lost = 0;
        for host in 0..self.hosts {
            let rules = self.nft(host, "list chain inet faults in")?;
            let count = |line: &str| {
                let (_, rest) = line.split_once("counter packets ")?;
                rest.split_whitespace().next()?.parse::<u64>().ok()
            };
            lost += rules.lines().filter_map(count).sum::<u64>();
            self.nft(host, "flush chain inet faults in")?;
        }
        if lost == 0 {
            return Err("the faults hit no packet".to_owned());
        }
        Ok(lost)
    }
}

fn rule(from: u8, percent: u32) -> String {
    let from = Net::address(from);
    let chance =
        if percent < 100 { format!("numgen random mod 100 < {percent} ") } else { String::new() };
    format!("add rule inet faults in ip saddr {from} {chance}counter drop")
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        self.janitor.wait().ok();
    }
}
