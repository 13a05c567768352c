//! Compression of a stream in frames, by several threads, in order.
//!
//! A frame holds one entry or part of one, so that an entry can be taken out of the archive; what
//! is never taken out shares frames. The work is handed out in batches, round robin, and taken
//! back in the same order: the archive is the same however the threads are scheduled.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use super::courtesy::Gate;
use super::index::{Key, Span};
use super::push::Pusher;
use super::store::Store;

/// Longest content of a frame, and of a batch: what a thread takes at a time.
const BATCH_BYTES: usize = 1024 * 1024;
/// Batches that wait for each thread, besides the one it has. They last for a moment in which
/// reading or writing is held up.
const AHEAD: usize = 3;

#[derive(Debug, Default)]
struct Batch {
    content: Vec<u8>,
    /// Where in the content each frame ends, and whose it is.
    cuts: Vec<(Option<Key>, usize)>,
    packed: Vec<u8>,
    /// Where in `packed` each frame ends.
    ends: Vec<usize>,
}

#[derive(Debug)]
struct Lane {
    to: SyncSender<Batch>,
    from: Receiver<io::Result<Batch>>,
}

/// A stream that is compressed into a store.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    store: &'a mut Store,
    pusher: Option<Pusher>,
    lanes: Vec<Lane>,
    /// Lanes in the order in which batches went to them.
    under_way: VecDeque<usize>,
    next: usize,
    filling: Batch,
    spare: Vec<Batch>,
    key: Option<Key>,
    placed: Vec<(Key, Span)>,
    bytes: u64,
}

impl<'a> Frames<'a> {
    /// Starts the threads, which end when this is dropped.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        (workers, level): (u32, i32),
        store: &'a mut Store,
        gate: &Gate,
    ) -> io::Result<Self> {
        let mut lanes = Vec::new();
        for _ in 0..workers.max(1) {
            let (to, batches) = sync_channel::<Batch>(AHEAD);
            let (done, from) = sync_channel(AHEAD + 1);
            let mut compressor = Compressor::new(level)?;
            compressor.set_parameter(CParameter::ChecksumFlag(true))?;
            let gate = gate.clone();
            thread::Builder::new().name("backup-zstd".into()).spawn_scoped(scope, move || {
                for mut batch in batches {
                    gate.pass();
                    let packed = batch.pack(&mut compressor);
                    if done.send(packed.map(|()| batch)).is_err() {
                        break;
                    }
                }
            })?;
            lanes.push(Lane { to, from });
        }
        // A reader that follows sees to it that what it reads is on the medium.
        let pusher = (!store.is_followed())
            .then(|| Pusher::start(scope, store.file().try_clone()?, store.bytes(), gate))
            .transpose()?;
        Ok(Self {
            store,
            pusher,
            lanes,
            under_way: VecDeque::new(),
            next: 0,
            filling: Batch::default(),
            spare: Vec::new(),
            key: None,
            placed: Vec::new(),
            bytes: 0,
        })
    }

    /// What is written from now on is the entry of this key. One without a key is for good.
    pub(super) fn begin_entry(&mut self, key: Option<Key>) {
        if key.is_some() {
            self.cut();
        }
        self.key = key;
    }

    /// Ends the entry that was begun.
    pub(super) fn end_entry(&mut self) {
        if self.key.is_some() {
            self.cut();
        }
        self.key = None;
    }

    /// Where frames have come to lie since this was last asked.
    pub(super) fn placed(&mut self) -> impl Iterator<Item = (Key, Span)> {
        self.placed.drain(..)
    }

    /// The store, for what doesn't go through the stream.
    pub(super) fn store(&mut self) -> &mut Store {
        self.store
    }

    /// Bytes of the stream so far, before compression.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Waits until everything is in the store.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.hand_out()?;
        while !self.under_way.is_empty() {
            self.take_back()?;
        }
        Ok(())
    }

    fn cut(&mut self) {
        let begun = self.filling.cuts.last().map_or(0, |cut| cut.1);
        if self.filling.content.len() > begun {
            self.filling.cuts.push((self.key, self.filling.content.len()));
        }
    }

    fn hand_out(&mut self) -> io::Result<()> {
        self.cut();
        if self.filling.cuts.is_empty() {
            return Ok(());
        }
        if self.under_way.len() >= self.lanes.len() * (1 + AHEAD) {
            self.take_back()?;
        }
        let empty = self.spare.pop().unwrap_or_default();
        let batch = mem::replace(&mut self.filling, empty);
        let lane = self.lanes.get(self.next).ok_or_else(broken_off)?;
        lane.to.send(batch).map_err(|_| broken_off())?;
        self.under_way.push_back(self.next);
        self.next = (self.next + 1) % self.lanes.len();
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        let lane = self.under_way.pop_front().and_then(|at| self.lanes.get(at));
        let lane = lane.ok_or_else(broken_off)?;
        let mut batch = lane.from.recv().map_err(|_| broken_off())??;
        let (offset, mut begin) = (self.store.append(&batch.packed)?, 0);
        if let Some(pusher) = &mut self.pusher {
            pusher.grown(self.store.bytes());
        }
        for ((key, _), end) in batch.cuts.iter().zip(&batch.ends) {
            let span = (offset + begin as u64, (end - begin) as u64);
            self.placed.extend(key.map(|key| (key, span)));
            begin = *end;
        }
        batch.clear();
        self.spare.push(batch);
        Ok(())
    }
}

impl Write for Frames<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filling.content.len() >= BATCH_BYTES {
            self.hand_out()?;
        }
        let room = BATCH_BYTES - self.filling.content.len();
        let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.filling.content.extend_from_slice(part);
        self.bytes += part.len() as u64;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Batch {
    fn pack(&mut self, compressor: &mut Compressor<'_>) -> io::Result<()> {
        let mut begin = 0;
        for (_, end) in &self.cuts {
            let content = self.content.get(begin..*end).unwrap_or_default();
            let at = self.packed.len();
            self.packed.resize(at + compress_bound(content.len()), 0);
            let room = self.packed.get_mut(at..).unwrap_or_default();
            let length = compressor.compress_to_buffer(content, room)?;
            self.packed.truncate(at + length);
            self.ends.push(at + length);
            begin = *end;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.content.clear();
        self.cuts.clear();
        self.packed.clear();
        self.ends.clear();
    }
}

fn broken_off() -> io::Error {
    io::Error::other("a thread that compresses broke off")
}
