//! What the binary asked of the kernel, in order: the only proof that a reply waited for the disk.
//!
//! `kill -9` cannot show a missing fsync, for what was written survives it in the page cache. So a test runs the
//! binary under strace and looks for write of the row, successful fsync, write of the 200, in this order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::tools::tool;

/// The calls that are traced: all that can write to a file or a socket, and those that make a file durable.
const TRACED: &str =
    "trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,fsync,fdatasync";

/// How many bytes of each write are kept: more than a page of SQLite.
const DATA_MAX: &str = "8192";

/// The command in front of a program that traces it and its threads into `output`, for `Service::under`.
pub fn wrapper(output: &Path) -> Vec<String> {
    let strace = tool("strace").display().to_string();
    let output = output.display().to_string();
    let words = ["-f", "--seccomp-bpf", "-yy", "-qq", "--signal=none", "-s", DATA_MAX];
    let rest = ["-e", TRACED, "-o", &output, "--"];
    std::iter::once(strace.as_str()).chain(words).chain(rest).map(str::to_owned).collect()
}

/// One system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The thread.
    pub pid: u32,
    /// `pwrite64`, `fdatasync`, …
    pub name: String,
    /// What the descriptor is: a path, or `TCP:[from->to]`.
    pub target: String,
    /// The bytes written (at most 8 KiB of each buffer), buffers joined.
    pub data: Vec<u8>,
    /// What it returned; absent when the thread was killed in it.
    pub result: Option<i64>,
    /// The line of the trace where it began.
    pub started: usize,
    /// The line where it ended; later than `started` when other calls came in between.
    pub finished: usize,
}

impl Call {
    /// Whether it made its file durable.
    pub fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.result == Some(0)
    }

    /// Whether its data hold these bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.data.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// The calls of a traced program, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The calls.
    pub calls: Vec<Call>,
}

impl Trace {
    /// Reads what [`wrapper`] wrote. Complete only once the program has ended.
    pub fn read(output: &Path) -> Self {
        Self::parse(&String::from_utf8_lossy(&std::fs::read(output).unwrap()))
    }

    /// Reads the text of a trace made with `-f -yy`.
    pub fn parse(text: &str) -> Self {
        let mut calls = Vec::new();
        let mut open: BTreeMap<u32, (usize, String)> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((pid, rest)) = line.split_once(' ') else { continue };
            let Ok(pid) = pid.parse() else { continue };
            let rest = rest.trim_start();
            if let Some(head) = rest.strip_suffix("<unfinished ...>") {
                open.insert(pid, (number, head.to_owned()));
                continue;
            }
            let (started, whole) = match rest.strip_prefix("<... ") {
                Some(resumed) => {
                    let (started, head) = open.remove(&pid).unwrap_or_default();
                    let tail = resumed.split_once(" resumed>").map_or("", |(_, tail)| tail);
                    (started, head + tail)
                }
                None => (number, rest.to_owned()),
            };
            calls.extend(call(pid, &whole, started, number));
        }
        // Killed in the middle of a call: it may or may not have had its effect.
        for (pid, (started, head)) in open {
            calls.extend(call(pid, &head, started, usize::MAX));
        }
        calls.sort_by_key(|call| call.started);
        Self { calls }
    }

    /// Checks that the 200 on the connection from `client` waited for the disk: before it began, a write that
    /// holds `row` to a file whose path ends in `file` (`.db-wal`) had ended, and then a sync of that file had
    /// begun and succeeded.
    pub fn check_durable_before_200(
        &self,
        client: SocketAddr,
        row: &[u8],
        file: &str,
    ) -> Result<(), String> {
        let peer = format!("->{client}]");
        let reply = self
            .calls
            .iter()
            .find(|call| call.target.contains(&peer) && call.data.starts_with(b"HTTP/1.1 200"));
        let reply = reply.ok_or("no 200 was written to this client")?;
        let written: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| call.target.ends_with(file) && call.holds(row))
            .filter(|call| call.result.is_some_and(|written| written > 0))
            .collect();
        if written.is_empty() {
            return Err(format!("the row was never written to a file named *{file}"));
        }
        let before = written.iter().filter(|write| write.finished < reply.started);
        let mut synced = before.clone().flat_map(|write| {
            self.calls.iter().filter(|sync| {
                sync.is_sync()
                    && sync.target == write.target
                    && sync.started > write.finished
                    && sync.finished < reply.started
            })
        });
        if before.clone().next().is_none() {
            return Err("the 200 began before the row was written".to_owned());
        }
        synced
            .next()
            .map(|_| ())
            .ok_or_else(|| "the 200 began before the row was synced".to_owned())
    }
}

/// One call from its whole text, `name(args) = result`.
fn call(pid: u32, text: &str, started: usize, finished: usize) -> Option<Call> {
    let (name, args) = text.split_once('(')?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let result = args
        .rsplit_once(" = ")
        .and_then(|(_, result)| result.split(' ').next().and_then(|number| number.parse().ok()));
    let (name, target, data) = (name.to_owned(), target(args).to_owned(), strings(args));
    Some(Call { pid, name, target, data, result, started, finished })
}

/// What `-yy` says of the descriptor, the first argument: `7</path>` or `7<TCP:[a->b]>`.
fn target(args: &str) -> &str {
    let digits = args.bytes().take_while(u8::is_ascii_digit).count();
    let Some(rest) = args.get(digits..).and_then(|rest| rest.strip_prefix('<')) else { return "" };
    // A `>` alone is no end: it stands in `a->b` and in device names too.
    let end = [">,", ">)", "> "].iter().filter_map(|end| rest.find(end)).min();
    rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest)
}

/// The bytes of all quoted strings, joined.
fn strings(args: &str) -> Vec<u8> {
    let mut data = Vec::new();
    let mut bytes = args.bytes().peekable();
    let mut quoted = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => {
                let escape = bytes.next().unwrap_or(b'\\');
                data.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'v' => 0x0b,
                    b'f' => 0x0c,
                    b'0'..=b'7' => {
                        // Up to three octal digits; strace writes all three where a digit follows.
                        let mut value = u32::from(escape - b'0');
                        for _ in 0..2 {
                            let Some(digit) = bytes.next_if(|next| (b'0'..=b'7').contains(next))
                            else {
                                break;
                            };
                            value = value * 8 + u32::from(digit - b'0');
                        }
                        u8::try_from(value).unwrap()
                    }
                    other => other,
                });
            }
            byte if quoted => data.push(byte),
            _ => {}
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::tools::python;

    /// Recorded from `strace_sample.py`.
    const SAMPLE: &str = include_str!("strace_sample.txt");

    fn client(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_line_becomes_a_call() {
        let line = r#"12 pwrite64(5</tmp/a b.db-wal>, "\0011\r\n\"\\\377x", 8, 32) = 8"#;
        let trace = Trace::parse(line);
        let [call] = &trace.calls[..] else { panic!("{trace:?}") };
        assert_eq!((call.pid, call.name.as_str()), (12, "pwrite64"));
        assert_eq!((call.target.as_str(), call.result), ("/tmp/a b.db-wal", Some(8)));
        assert_eq!(call.data, b"\x011\r\n\"\\\xffx");
    }

    #[test]
    fn vectors_devices_errors_and_the_killed_are_understood() {
        let text = "7 writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base=\"ab\", iov_len=2}, {iov_base=\"c\", iov_len=1}], 2) = 3\n\
            7 write(1</dev/null<char 1:3>>, \"x\", 1) = 1\n\
            8 fsync(3</d/f> <unfinished ...>\n\
            7 +++ killed by SIGKILL +++\n\
            9 fsync(3</d/f>) = -1 EIO (Input/output error)\n";
        let calls = Trace::parse(text).calls;
        let seen: Vec<_> = calls.iter().map(|call| (call.target.as_str(), call.result)).collect();
        let tcp = "TCP:[127.0.0.1:1->127.0.0.1:2]";
        assert_eq!(
            seen,
            [(tcp, Some(3)), ("/dev/null<char 1:3>", Some(1)), ("/d/f", None), ("/d/f", Some(-1))]
        );
        assert_eq!(calls[0].data, b"abc");
        assert!(calls.iter().all(|call| !call.is_sync()));
    }

    #[test]
    fn the_recorded_program_is_judged_right() {
        let trace = Trace::parse(SAMPLE);
        assert!(trace.calls.iter().any(|call| call.finished > call.started), "calls overlap");
        let check = |port, row: &str| {
            trace.check_durable_before_200(client(port), row.as_bytes(), ".db-wal")
        };
        assert_eq!(check(46388, "event-good"), Ok(()));
        assert_eq!(
            check(34222, "event-early").unwrap_err(),
            "the 200 began before the row was written"
        );
        assert_eq!(
            check(38664, "event-unsynced").unwrap_err(),
            "the 200 began before the row was synced"
        );
        assert_eq!(check(1, "event-good").unwrap_err(), "no 200 was written to this client");
        assert!(check(46388, "event-x").unwrap_err().starts_with("the row was never written"));
    }

    #[test]
    fn this_machine_can_trace() {
        let dir = tempfile::tempdir().unwrap();
        let (output, file) = (dir.path().join("trace"), dir.path().join("file"));
        let program =
            "import os, sys; f = open(sys.argv[1], 'wb', 0); f.write(b'row'); os.fsync(f)";
        let words = wrapper(&output);
        let mut command = std::process::Command::new(&words[0]);
        command.args(&words[1..]).arg(python()).args(["-c", program]).arg(&file);
        assert!(command.status().unwrap().success());
        let calls = Trace::read(&output).calls;
        let of_file = calls.iter().filter(|call| Path::new(&call.target) == file);
        let names: Vec<_> = of_file.map(|call| (call.name.as_str(), call.result)).collect();
        assert_eq!(names, [("write", Some(3)), ("fsync", Some(0))]);
    }
}
