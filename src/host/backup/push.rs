//! The way to the medium of an archive that is written while the daemon runs.
//!
//! What waits for the medium is kept short, so that a daemon that syncs doesn't wait for it, and
//! the page cache free of what nobody reads soon. That means to wait for the medium now and then,
//! which a thread of its own does: the others go on reading and compressing meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Scope};

use nix::libc;

use super::courtesy::Gate;
use super::index::Span;
use super::read_back::forget;
use super::tempo::Pace;
use super::{Cancel, Error};

/// Written to the medium at a time. Four of them may wait for it: one that is being filled, one
/// that is ready, one that was begun, and the one before it.
const STRETCH_BYTES: u64 = 4 * 1024 * 1024;
const READY: usize = 1;
/// Written at a time where somebody waits for it.
const PIECE_BYTES: u64 = 1024 * 1024;
const WAIT: libc::c_uint = libc::SYNC_FILE_RANGE_WAIT_BEFORE
    | libc::SYNC_FILE_RANGE_WRITE
    | libc::SYNC_FILE_RANGE_WAIT_AFTER;

/// A file that grows, and goes to the medium in stretches.
#[derive(Debug)]
pub(super) struct Pusher {
    to: SyncSender<Span>,
    /// Up to here it is on its way.
    begun: u64,
}

impl Pusher {
    /// Starts the thread, which ends when this is dropped. What lies before `begin` is not its
    /// matter.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        file: File,
        begin: u64,
        gate: &Gate,
    ) -> io::Result<Self> {
        let (to, spans) = sync_channel::<Span>(READY);
        let gate = gate.clone();
        thread::Builder::new().name("backup-push".into()).spawn_scoped(scope, move || {
            let mut before = None;
            for span in spans {
                gate.pass();
                write_out(&file, span, libc::SYNC_FILE_RANGE_WRITE);
                if let Some(before) = before.replace(span) {
                    write_out(&file, before, WAIT);
                    forget(&file, before.0, before.1);
                }
            }
        })?;
        Ok(Self { to, begun: begin })
    }

    /// The file has grown to this length. Waits where too much waits for the medium.
    pub(super) fn grown(&mut self, bytes: u64) {
        if bytes - self.begun >= STRETCH_BYTES {
            // Without the thread all of it waits for the sync at the end.
            let _ = self.to.send((self.begun, bytes - self.begun));
            self.begun = bytes;
        }
    }
}

/// Writes a part of the file to the medium in small pieces, so that the sync that follows has
/// little left to do. What is there already costs a call.
pub(super) fn write_out_gently(
    file: &File,
    (mut offset, mut length): Span,
    pace: &mut Pace,
    cancel: &Cancel,
) -> Result<(), Error> {
    while length > 0 {
        pace.take(0, cancel)?;
        let piece = length.min(PIECE_BYTES);
        write_out(file, (offset, piece), WAIT);
        (offset, length) = (offset + piece, length - piece);
    }
    Ok(())
}

/// Begins to write, or waits for it. It makes nothing durable; whoever needs that syncs, and is
/// told of errors then.
#[expect(unsafe_code, reason = "a system call on plain numbers, for which there is no wrapper")]
fn write_out(file: &File, (offset, length): Span, flags: libc::c_uint) {
    if let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) {
        unsafe {
            libc::sync_file_range(file.as_raw_fd(), offset, length, flags);
        }
    }
}
