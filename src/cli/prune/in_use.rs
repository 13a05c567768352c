//! Which versions somebody runs, or may go to or back to.
//!
//! Whoever can't be asked may need any of them: then none goes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Error;
use super::super::sharing::{self, Sharer};
use super::Task;
use crate::config::{self, Paths, Root};
use crate::disk::{self, Disk, RealDisk};
use crate::host::files::Files;
use crate::host::processes;
use crate::journal;
use crate::machine::{Attempt, Back, Candidate, Link, Performed, Queue, State, Undone};
use crate::release::{self, History, Plan, UpgradeName, if_there};
use crate::requests::{self, Request, Wish};

/// So many of the history's last are kept in any case: an instance of another root that was not
/// started since it can leave a mark can't be asked.
const LAST_KEPT: usize = 2;

/// Names of versions, each with a reason.
#[derive(Debug, Default)]
pub(super) struct InUse {
    reasons: BTreeMap<String, String>,
    pub(super) history: History,
}

impl InUse {
    /// Looks at the data folder, at every instance, and at the processes.
    pub(super) fn look(task: &Task<'_>) -> Result<Self, Error> {
        let mut in_use = Self::default();
        in_use.take_data(task)?;
        let (disk, paths) = (task.disk, task.paths);
        in_use.take_version_file(disk, &task.config.nymvisor.id, &paths.current_version())?;
        in_use.take_requests(disk, &task.config.nymvisor.id, &paths.requests())?;
        in_use.take_journal(disk, &task.config.nymvisor.id, &paths.journal())?;
        let own = paths.instance();
        for folder in folders(disk, paths.root())? {
            if folder != own {
                in_use.take_instance(disk, paths.root(), &folder)?;
            }
        }
        for Sharer { mark, folder } in sharing::registered(disk, paths.data())? {
            if folder == own {
                continue;
            }
            // What is not there any more may be on a disk that is not mounted.
            if !in_use.take_instance(disk, paths.root(), &folder)? {
                return Err(Error::Refused(format!(
                    "there is no instance in {}, or it can't be seen, and it may run any version; \
                     if it is none any more, remove {}",
                    folder.display(),
                    mark.display()
                )));
            }
        }
        for (pid, program) in processes::programs_below(&paths.upgrades()) {
            let name = program.iter().next().unwrap_or_default().to_string_lossy();
            in_use.add(&name, || format!("the process {pid} runs it"));
        }
        Ok(in_use)
    }

    /// Why this version stays, if anything needs it.
    pub(super) fn reason(&self, name: &UpgradeName) -> Option<&String> {
        self.reasons.get(name.as_str())
    }

    fn add(&mut self, name: &str, reason: impl FnOnce() -> String) {
        self.reasons.entry(name.to_owned()).or_insert_with(reason);
    }

    fn take_data(&mut self, task: &Task<'_>) -> Result<(), Error> {
        let paths = task.paths;
        self.add(UpgradeName::genesis().as_str(), || "the first always stays".to_owned());
        let files = Files::new(Arc::new(RealDisk), paths.clone());
        let current = match files.link() {
            Ok(Link::LeadsTo(name)) => name,
            Ok(Link::Astray(_) | Link::Absent | Link::NoLink) => {
                return Err(Error::Refused(format!(
                    "{} leads to no version; the next `nymvisor run` mends it",
                    paths.current().display()
                )));
            }
            Err(error) => return Err(Error::Unusable(error.to_string())),
        };
        self.add(&current, || "`current` leads to it".to_owned());
        for file in [paths.plan(), paths.history()] {
            expect_file(task.disk, &file)?;
        }
        let plan: Plan = release::load(task.disk, &paths.plan())?;
        self.add(plan.current.name.as_str(), || "the plan calls it current".to_owned());
        for info in &plan.queued_up {
            self.add(info.name.as_str(), || "it is queued".to_owned());
        }
        let history: Option<History> = if_there(release::load(task.disk, &paths.history()))?;
        self.history = history.unwrap_or_default();
        let standing: Vec<String> =
            self.history.standing().map(|entry| entry.info.name.to_string()).collect();
        let first = UpgradeName::genesis();
        let in_place = [current.as_str(), plan.current.name.as_str()];
        if let Some(name) = in_place.into_iter().find(|name| *name != first.as_str())
            && standing.is_empty()
        {
            return Err(Error::Refused(format!(
                "{name} is in place, and {} tells of no upgrade: which ones came before can't be \
                 told; put a copy of that file back",
                paths.history().display()
            )));
        }
        for name in standing.iter().rev().take(LAST_KEPT) {
            self.add(name, || "it is one of the last two of the history".to_owned());
        }
        Ok(())
    }

    /// An instance of this root, or one that has left its mark, whatever data folder its file
    /// names: a variable may say another. Whether anything tells of it.
    fn take_instance(
        &mut self,
        disk: &dyn Disk,
        root: &Root,
        folder: &Path,
    ) -> Result<bool, Error> {
        let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unknown = |error: Error| {
            Error::Refused(format!(
                "the instance '{}' can't be asked what it runs: {}; mend that, or move {} away if \
                 it is no instance any more",
                id.escape_debug(),
                super::in_words(&error),
                folder.display()
            ))
        };
        for below in ["", "data", "config", "config/config.toml"] {
            leads_somewhere(&folder.join(below)).map_err(unknown)?;
        }
        self.take_requests(disk, &id, &folder.join("data/requests")).map_err(unknown)?;
        let mut tells =
            self.take_journal(disk, &id, &folder.join("data/journal")).map_err(unknown)?;
        let mut missing = None;
        for file in config_files(disk, folder).map_err(unknown)? {
            expect_file(disk, &file).map_err(unknown)?;
            let read = config::read(disk, &file).map_err(|error| unknown(error.into()))?;
            let Some(config) = read else { continue };
            let config = config.finish().map_err(|error| unknown(error.into()))?;
            let paths = Paths::new(disk, root.clone(), file, &config);
            let version = paths.current_version();
            tells |= self.take_version_file(disk, &id, &version).map_err(unknown)?;
            missing = Some(version);
        }
        // Each has had one since `init`: the disk of its home may not be mounted.
        match missing.filter(|_| !tells) {
            Some(file) => Err(unknown(Error::Refused(format!(
                "it has no journal, and {} is not there",
                file.display()
            )))),
            None => Ok(tells),
        }
    }

    /// Whether there is one.
    fn take_version_file(&mut self, disk: &dyn Disk, id: &str, file: &Path) -> Result<bool, Error> {
        for file in [file.to_owned(), file.with_file_name("current-version.json")] {
            expect_file(disk, &file)?;
        }
        let version = if_there(release::load_current_version(disk, file))?;
        if let Some(version) = &version {
            self.add(version.name.as_str(), || format!("the instance '{id}' runs it"));
        }
        Ok(version.is_some())
    }

    /// What a roll-back names that nobody has taken up yet. Looked at before the journal, for a
    /// request goes once it is on the record.
    fn take_requests(&mut self, disk: &dyn Disk, id: &str, folder: &Path) -> Result<(), Error> {
        let waiting = requests::waiting(disk, folder).map_err(Error::io("look into", folder))?;
        for (request, read) in waiting {
            let path = requests::request_path(folder, &request);
            match read {
                Ok(Request { wish: Wish::RollBack { to, .. }, .. }) => {
                    self.add(&to.name, || format!("the instance '{id}' is asked to go back to it"));
                }
                Ok(Request {
                    wish: Wish::Retry { .. } | Wish::Hold { .. } | Wish::Release | Wish::Cancel(_),
                    ..
                }) => {}
                // Taken up since.
                Err(_) if path.symlink_metadata().is_err() => {}
                Err(why) => {
                    return Err(Error::Refused(format!(
                        "the request {} can't be read: {why}; move it away",
                        path.display()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Whether there is one.
    fn take_journal(&mut self, disk: &dyn Disk, id: &str, folder: &Path) -> Result<bool, Error> {
        let state = journal::state_of_any(disk, folder)?.map_err(|why| {
            Error::Refused(format!("its journal can't be read to its end: {why}"))
        })?;
        for name in state.iter().flat_map(versions_of) {
            self.add(name, || format!("the instance '{id}' may go to it"));
        }
        Ok(state.is_some())
    }
}

/// The folders of all instances, or of what may be one: a link may lead to a disk that is not
/// mounted.
fn folders(disk: &dyn Disk, root: &Root) -> Result<Vec<PathBuf>, Error> {
    let folder = root.instances();
    let names = disk.list(&folder).map_err(Error::io("list", &folder))?;
    let paths = names.into_iter().map(|name| folder.join(name));
    Ok(paths.filter(|path| path.is_dir() || path.is_symlink() && !path.exists()).collect())
}

fn leads_somewhere(path: &Path) -> Result<(), Error> {
    // A path that ends with a slash is what its link leads to.
    let path: &Path = &path.components().collect::<PathBuf>();
    if path.is_symlink() && !path.exists() {
        return Err(Error::Refused(format!("the link {} leads nowhere", path.display())));
    }
    Ok(())
}

/// Nothing is there, or a file, be it by a link. Whoever reads a FIFO waits for ever.
fn expect_file(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    match path.canonicalize() {
        Ok(real) => disk::expect_file(disk, &real).map_err(Error::Refused),
        // The reader says it better.
        Err(_) => Ok(()),
    }
}

/// Its own configuration, and the one elsewhere that has claimed its data.
fn config_files(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    use std::os::unix::ffi::OsStringExt;
    let own = folder.join("config/config.toml");
    let claim = folder.join("data/belongs-to");
    let mut files = vec![own];
    expect_file(disk, &claim)?;
    match disk.read(&claim) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        bytes => {
            let mut bytes = bytes.map_err(Error::io("read", &claim))?;
            bytes.truncate(bytes.trim_ascii_end().len());
            files.push(std::ffi::OsString::from_vec(bytes).into());
        }
    }
    Ok(files)
}

/// Every version that a state names, but for those that were only performed once.
fn versions_of(state: &State) -> Vec<&str> {
    let State {
        phase,
        installed,
        queue,
        candidate,
        performed,
        undone,
        recovering: _,
        recording: _,
        plan_reads: _,
        policy: _,
        troubles: _,
        startup_failures: _,
        last_attempt: _,
        unneeded: _,
        holding: _,
        window: _,
    } = state;
    let Queue { current, entries, performed: _, in_place: _ } = queue;
    let mut names = vec![installed.name.as_str()];
    names.extend(current.iter().chain(entries).map(|upgrade| upgrade.name.as_str()));
    if let Some(Candidate { upgrade, .. }) = candidate {
        names.push(&upgrade.name);
    }
    if let Some(Performed { upgrade, from, .. }) = performed {
        names.extend([upgrade.name.as_str(), &from.name]);
    }
    if let Some(Undone { upgrade, to }) = undone {
        names.extend([upgrade.name.as_str(), &to.name]);
    }
    if let Some(Attempt { upgrade, from, back, .. }) = phase.attempt() {
        names.extend([upgrade.name.as_str(), &from.name]);
        names.extend(back.iter().map(|Back { to, .. }| to.name.as_str()));
    }
    names
}
