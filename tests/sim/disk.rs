//! A strict medium in memory: what is not synced may be gone after a power cut.
//!
//! Assumed of the medium: a rename within a folder is kept or lost whole; of operations on one name
//! a later one is not kept without the earlier; a link's target is never torn. Not assumed: that
//! syncing a file makes its name durable, or another file's bytes; that names and bytes reach the
//! medium in the order in which they were given.
//!
//! After a failed sync the cache may go on showing what is lost. Whoever was told of the failure
//! lives through that; where that process ends before it has written anew, nobody knows of it
//! any more, and the cache is taken to tell the truth again.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use nymvisor::disk::{Disk, DiskFile, Kind};

mod faults;
mod medium;

use super::chooser::Chooser;
use faults::Counter;
pub(crate) use faults::{Fault, Op, Reach};
pub(crate) use medium::Keep;
use medium::{Bytes, Inode, Names, Node};

const ROOT: Inode = 0;

/// A medium; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Mutex<Inner>>);

#[derive(Debug, Clone)]
struct Inner {
    nodes: Vec<Node>,
    counter: Counter,
}

#[derive(Debug)]
struct File {
    disk: SimDisk,
    inode: Inode,
    path: PathBuf,
}

impl SimDisk {
    pub(crate) fn new() -> Self {
        let nodes = vec![Node::Folder(Names::default())];
        Self(Arc::new(Mutex::new(Inner { nodes, counter: Counter::default() })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// One that goes its own way.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.inner().clone())))
    }

    /// What goes wrong from now on; operations are counted from 1 again.
    pub(crate) fn plan(&self, fault: Option<Fault>) {
        self.inner().counter.plan(fault);
    }

    /// Every operation from now on is written down.
    pub(crate) fn trace(&self) {
        self.inner().counter.trace();
    }

    pub(crate) fn traced(&self) -> Vec<(Op, PathBuf)> {
        self.inner().counter.traced()
    }

    /// The world has stopped: nothing more is done.
    pub(crate) fn is_stopped(&self) -> bool {
        self.inner().counter.is_stopped()
    }

    /// Whether the fault that was planned has come.
    pub(crate) fn was_hit(&self) -> bool {
        self.inner().counter.was_hit()
    }

    /// The same, unless something is planned already.
    pub(crate) fn plan_if_none(&self, fault: Fault) {
        self.inner().counter.plan_if_none(fault);
    }

    /// A look that counts for nothing, and goes through whatever is planned.
    pub(crate) fn quietly<T>(&self, look: impl FnOnce() -> T) -> T {
        self.inner().counter.set_quiet(true);
        let seen = look();
        self.inner().counter.set_quiet(false);
        seen
    }

    /// A file's bytes, whatever is planned.
    pub(crate) fn peek(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner();
        match &inner.nodes[inner.find(path).ok()?] {
            Node::File(bytes) => Some(bytes.live.clone()),
            Node::Folder(_) | Node::Link(_) => None,
        }
    }

    /// The names in a folder, whatever is planned.
    pub(crate) fn peek_names(&self, folder: &Path) -> Vec<OsString> {
        let inner = self.inner();
        match inner.find(folder).map(|inode| &inner.nodes[inode]) {
            Ok(Node::Folder(names)) => names.live.keys().cloned().collect(),
            Ok(Node::File(_) | Node::Link(_)) | Err(_) => Vec::new(),
        }
    }

    /// The cache gives up what it only pretended to have.
    pub(crate) fn end_of_lies(&self) {
        for node in &mut self.inner().nodes {
            node.end_of_lies();
        }
    }

    /// The power fails: only what was synced is certain.
    pub(crate) fn cut_power(&self, keep: Keep) {
        let mut chooser = Chooser::new(if let Keep::Seed(seed) = keep { seed } else { 0 });
        for node in &mut self.inner().nodes {
            node.cut(keep, &mut chooser);
        }
    }

    /// What another hand has put there, long ago: it is durable, and its folders are.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut inner = self.inner();
        let inode = inner.add(Node::File(Bytes::of(bytes)));
        inner.put(path, inode);
    }

    pub(crate) fn put_link(&self, path: &Path, target: &Path) {
        let mut inner = self.inner();
        let inode = inner.add(Node::Link(target.to_owned()));
        inner.put(path, inode);
    }

    pub(crate) fn put_folder(&self, path: &Path) {
        let _ = self.inner().folder_durably(path);
    }

    /// Another hand removes it, durably.
    pub(crate) fn take_away(&self, path: &Path) {
        let mut inner = self.inner();
        if let Ok((folder, name)) = inner.place(path)
            && let Node::Folder(names) = &mut inner.nodes[folder]
        {
            names.sync();
            names.live.remove(&name);
            names.durable.remove(&name);
        }
    }

    /// What connects a digest to a file: it changes with each change.
    pub(crate) fn identity(&self, path: &Path) -> Option<String> {
        let inner = self.inner();
        let inode = inner.find(path).ok()?;
        let Node::File(bytes) = &inner.nodes[inode] else { return None };
        Some(format!("{inode}:{}:{}", bytes.live.len(), bytes.changes))
    }
}

impl Inner {
    fn add(&mut self, node: Node) -> Inode {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut at = ROOT;
        for part in path.components().skip(1) {
            let Node::Folder(names) = &self.nodes[at] else {
                return Err(ErrorKind::NotADirectory.into());
            };
            at = *names.live.get(part.as_os_str()).ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The folder of a path, and the name in it.
    fn place(&self, path: &Path) -> io::Result<(Inode, OsString)> {
        let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
        Ok((self.find(path.parent().ok_or(ErrorKind::InvalidInput)?)?, name))
    }

    fn names(&mut self, inode: Inode) -> io::Result<&mut Names> {
        match &mut self.nodes[inode] {
            Node::Folder(names) => Ok(names),
            Node::File(_) | Node::Link(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn bytes(&mut self, inode: Inode) -> &mut Bytes {
        let Node::File(bytes) = &mut self.nodes[inode] else { panic!("an open file is a file") };
        bytes
    }

    fn put(&mut self, path: &Path, inode: Inode) {
        let folder = self.folder_durably(path.parent().unwrap());
        let name = path.file_name().unwrap();
        let names = self.names(folder).unwrap();
        // Whoever makes a name durable makes those durable that wait.
        names.sync();
        names.live.insert(name.to_owned(), inode);
        names.durable.insert(name.to_owned(), inode);
    }

    /// Also one that is there already: its name may be one that nobody has synced yet.
    fn folder_durably(&mut self, path: &Path) -> Inode {
        if path.parent().is_none() {
            return ROOT;
        }
        let found = self.find(path);
        let inode = found.unwrap_or_else(|_| self.add(Node::Folder(Names::default())));
        self.put(path, inode);
        inode
    }

    /// A new name for a new node.
    fn make(&mut self, op: Op, path: &Path, node: Node) -> io::Result<Inode> {
        self.counter.count(op, path)?;
        let (folder, name) = self.place(path)?;
        if self.names(folder)?.live.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = self.add(node);
        self.names(folder)?.edit(vec![(name, Some(inode))]);
        Ok(inode)
    }
}

impl DiskFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let counted = inner.counter.count(Op::Write, &self.path);
        // What is interrupted has written some of it.
        let written = match &counted {
            Ok(()) => bytes.len(),
            Err(error) if Counter::is_first(error) => bytes.len() / 2,
            Err(_) => 0,
        };
        inner.bytes(self.inode).append(&bytes[..written]);
        counted
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        let counted = inner.counter.count(Op::Sync, &self.path);
        let cache_lies = inner.counter.cache_lies();
        let stopped = inner.counter.is_stopped();
        match &counted {
            Ok(()) => inner.bytes(self.inode).sync(),
            Err(_) if stopped => {}
            Err(_) => inner.bytes(self.inode).fail_sync(cache_lies),
        }
        counted
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.counter.count(Op::Truncate, &self.path)?;
        inner.bytes(self.inode).truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}

impl Disk for SimDisk {
    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let mut inner = self.inner();
        inner.counter.count(Op::Look, path)?;
        match inner.find(path) {
            Ok(inode) => Ok(Some(match &inner.nodes[inode] {
                Node::File(bytes) => Kind::File(bytes.live.len() as u64),
                Node::Folder(_) => Kind::Folder,
                Node::Link(_) => Kind::Link,
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut inner = self.inner();
        inner.counter.count(Op::Read, path)?;
        let inode = inner.find(path)?;
        match &inner.nodes[inode] {
            Node::File(bytes) => Ok(bytes.live.clone()),
            Node::Folder(_) | Node::Link(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let mut inner = self.inner();
        inner.counter.count(Op::Read, path)?;
        let inode = inner.find(path)?;
        match &inner.nodes[inode] {
            Node::Link(target) => Ok(target.clone()),
            Node::File(_) | Node::Folder(_) => Err(ErrorKind::InvalidInput.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut inner = self.inner();
        inner.counter.count(Op::Read, folder)?;
        let inode = inner.find(folder)?;
        Ok(inner.names(inode)?.live.keys().cloned().collect())
    }

    fn create(&self, path: &Path, _: u32) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.inner().make(Op::Create, path, Node::File(Bytes::default()))?;
        Ok(Box::new(File { disk: self.clone(), inode, path: path.to_owned() }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.inner();
        inner.counter.count(Op::Open, path)?;
        let inode = inner.find(path)?;
        let Node::File(_) = inner.nodes[inode] else { return Err(ErrorKind::IsADirectory.into()) };
        Ok(Box::new(File { disk: self.clone(), inode, path: path.to_owned() }))
    }

    fn create_dir(&self, path: &Path, _: u32) -> io::Result<()> {
        self.inner().make(Op::Create, path, Node::Folder(Names::default())).map(drop)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        self.inner().make(Op::Create, path, Node::Link(target.to_owned())).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.counter.count(Op::Rename, to)?;
        let ((folder, old), (other, new)) = (inner.place(from)?, inner.place(to)?);
        if folder != other {
            // Nothing of ours does; whether the medium keeps both halves would have to be said.
            return Err(ErrorKind::CrossesDevices.into());
        }
        let inode = *inner.names(folder)?.live.get(&old).ok_or(ErrorKind::NotFound)?;
        inner.names(folder)?.edit(vec![(old, None), (new, Some(inode))]);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.counter.count(Op::Remove, path)?;
        let (folder, name) = inner.place(path)?;
        let inode = *inner.names(folder)?.live.get(&name).ok_or(ErrorKind::NotFound)?;
        if let Node::Folder(_) = inner.nodes[inode] {
            return Err(ErrorKind::IsADirectory.into());
        }
        inner.names(folder)?.edit(vec![(name, None)]);
        Ok(())
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        let mut inner = self.inner();
        inner.counter.count(Op::SyncDir, folder)?;
        let inode = inner.find(folder)?;
        inner.names(inode)?.sync();
        Ok(())
    }
}
