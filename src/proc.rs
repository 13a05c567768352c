//! What the kernel tells about processes, read from `/proc`.
//!
//! A process may end while it is looked at: that is an ordinary answer (`NotFound` or `ESRCH`),
//! which callers take for "not there".

use std::io;
use std::sync::{Mutex, PoisonError};
use std::{fs, str};

/// The part of `/proc/<pid>/stat` that tells processes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: u32,
    /// Id of the parent.
    pub parent: u32,
    /// Id of the process group.
    pub group: u32,
    /// Start time in clock ticks since boot (field 22).
    pub started_ticks: u64,
    /// Whether any thread of it can still do something.
    pub live: bool,
}

impl Stat {
    /// Parses the file's content; `None` where it isn't of that form.
    ///
    /// The second field is the command's name in parentheses, and may itself hold spaces,
    /// parentheses and bytes that are no UTF-8: fields are counted from the *last* `)`.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        let pid_end = content.iter().position(|&byte| byte == b' ')?;
        let name_end = content.iter().rposition(|&byte| byte == b')')?;
        let pid = str::from_utf8(content.get(..pid_end)?).ok()?.parse().ok()?;
        let rest = str::from_utf8(content.get(name_end + 1..)?).ok()?;
        // The first of these is field 3.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let threads: u32 = field(20)?.parse().ok()?;
        let live = match field(3)? {
            "X" | "x" => false,
            // The first thread of a process may end before the others, which then carry on.
            "Z" => threads > 1,
            _ => true,
        };
        Some(Self {
            pid,
            parent: field(4)?.parse().ok()?,
            group: field(5)?.parse().ok()?,
            started_ticks: field(22)?.parse().ok()?,
            live,
        })
    }
}

/// Reads one process's [`Stat`].
pub fn stat(pid: u32) -> io::Result<Stat> {
    let content = fs::read(format!("/proc/{pid}/stat"))?;
    Stat::parse(&content).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has another form"))
    })
}

/// Whether a process is gone, or about to be: what it holds is let go of within moments.
///
/// One that was killed still counts as alive for the time that its end takes the kernel, most of
/// all where it had much memory.
#[must_use]
pub fn is_ending(pid: u32) -> bool {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(content) => is_exiting(&content) || Stat::parse(&content).is_some_and(|s| !s.live),
        Err(_) => true,
    }
}

/// Field 9 are the kernel's flags.
fn is_exiting(content: &[u8]) -> bool {
    const PF_EXITING: u32 = 0x4;
    let name_end = content.iter().rposition(|&byte| byte == b')').unwrap_or_default();
    let rest = content.get(name_end + 1..).and_then(|rest| str::from_utf8(rest).ok());
    let flags = rest.and_then(|rest| rest.split_ascii_whitespace().nth(9 - 3));
    flags.and_then(|flags| flags.parse::<u32>().ok()).is_some_and(|flags| flags & PF_EXITING != 0)
}

/// Children of ours whose status somebody here takes.
static AWAITED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// While this lives, a child's status is left to its holder.
#[derive(Debug)]
pub struct Awaited(u32);

impl Awaited {
    /// For a child that has just been started; nothing else may have run since.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        AWAITED.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        Self(pid)
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut awaited = AWAITED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = awaited.iter().position(|pid| *pid == self.0) {
            awaited.swap_remove(at);
        }
    }
}

/// Whether a child's status is somebody's to take.
#[must_use]
pub fn is_awaited(pid: u32) -> bool {
    AWAITED.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
}

/// All processes that are there now, in no particular order.
pub fn stats() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        if let Some(stat) = pid.and_then(|pid| stat(pid).ok()) {
            found.push(stat);
        }
    }
    Ok(found)
}
