//! One form for all engines that differ in nothing but the numbers they have drawn.
//!
//! Attempts, processes, files and archives are numbered as they come. Here they are numbered anew,
//! in the same order, from 1, and what nothing refers to any more is left out: so the space of
//! states is finite.

use nymvisor::machine::{Archive, Binary, Code, Hold, State};

use crate::model::engine::Engine;
use crate::model::numbers::Number;
use crate::model::values;

/// The numbers that are in use, by kind, each once and in order.
#[derive(Default)]
struct Used {
    attempts: Vec<u64>,
    /// Of processes, files and archives: they come from one counter.
    serials: Vec<u64>,
    archives: Vec<u64>,
}

/// Numbers anew; equal for engines that decide alike.
pub(super) fn renumber(engine: &mut Engine) {
    engine.drop_records();
    forget_counts(&mut engine.state);
    if let Some(durable) = &mut engine.durable {
        forget_counts(&mut durable.state);
    }
    let mut used = Used::default();
    engine.numbers(&mut |number| used.note(&number));
    used.note_backed(engine);
    used.sort();
    keep_backups(engine, &used);
    let (attempts, serials) = (used.attempts.len() as u64, used.serials.len() as u64);
    if !used.is_settled() {
        engine.numbers(&mut |number| used.rename(number));
        for (archive, _) in &mut engine.world.files.backups {
            used.rename(Number::Archive(archive));
        }
    }
    let durable = engine.durable.as_mut();
    if let Some(durable) = durable {
        durable.state.last_attempt = attempts;
        used.rename_oracle(&mut durable.oracle);
    }
    used.rename_oracle(&mut engine.oracle);
    engine.state.last_attempt = attempts;
    engine.world.count_from(u32::try_from(serials).unwrap());
}

/// How often something failed, and why, decides how long a pause is and what is told of it:
/// neither is anything here. But what its command has put off stays prepared.
fn forget_counts(state: &mut State) {
    let per_stop = state.policy.hooks.per_stop;
    for trouble in &mut state.troubles {
        trouble.times = 1;
        let by_command =
            matches!(trouble.failure.code, Code::HookPostponed | Code::HookFailed) && per_stop;
        let is_put_off = by_command && trouble.hold == Hold::Pause;
        let code = if is_put_off { Code::HookPostponed } else { Code::Io };
        if trouble.failure.code != code && !trouble.is_cancelled() {
            trouble.failure = values::failure(code);
        }
    }
}

/// Archives that something refers to; what was in the home at their times is numbered from 1.
fn keep_backups(engine: &mut Engine, used: &Used) {
    let files = &mut engine.world.files;
    files.backups.retain(|(archive, _)| {
        of_archive(archive).is_some_and(|serial| used.archives.contains(&serial))
    });
    let mut homes = vec![files.home];
    homes.extend(files.backups.iter().map(|(_, home)| *home));
    homes.sort_unstable();
    homes.dedup();
    let rank = |home: u64| homes.iter().filter(|other| **other <= home).count() as u64;
    for (_, home) in &mut files.backups {
        *home = rank(*home);
    }
    files.home = rank(files.home);
    files.homes = homes.len() as u64;
}

fn of_archive(archive: &Archive) -> Option<u64> {
    archive.path.strip_prefix("backup-")?.strip_suffix(".tar.zst")?.parse().ok()
}

fn of_binary(binary: &Binary) -> Option<u64> {
    binary.identity.strip_prefix("file ")?.parse().ok()
}

/// The new number for an old one.
fn place(used: &[u64], old: u64) -> Option<u64> {
    used.iter().position(|number| *number == old).map(|at| at as u64 + 1)
}

impl Used {
    fn note(&mut self, number: &Number<'_>) {
        match number {
            Number::Attempt(attempt) => self.attempts.push(**attempt),
            Number::Daemon(daemon) => self.serials.push(u64::from(daemon.pid) - 1000),
            Number::Archive(archive) => self.note_archive(archive),
            Number::Binary(binary) => self.serials.extend(of_binary(binary)),
        }
    }

    fn note_archive(&mut self, archive: &Archive) {
        let serial = of_archive(archive);
        self.serials.extend(serial);
        self.archives.extend(serial);
    }

    /// An archive that an oracle holds to be of no use counts as long as it is there.
    fn note_backed(&mut self, engine: &Engine) {
        let durable = engine.durable.iter().map(|durable| &durable.oracle);
        for oracle in durable.chain([&engine.oracle]) {
            for (attempt, archive) in oracle.backed() {
                let is_there = archive.is_some_and(|archive| engine.world.files.has(archive));
                if is_there || self.attempts.contains(&attempt) {
                    self.attempts.push(attempt);
                    if let Some(archive) = archive {
                        self.note_archive(archive);
                    }
                }
            }
        }
    }

    fn sort(&mut self) {
        for numbers in [&mut self.attempts, &mut self.serials, &mut self.archives] {
            numbers.sort_unstable();
            numbers.dedup();
        }
    }

    /// The numbers are from 1 on already.
    fn is_settled(&self) -> bool {
        [&self.attempts, &self.serials]
            .iter()
            .all(|numbers| numbers.last().is_none_or(|last| *last == numbers.len() as u64))
    }

    fn rename(&self, number: Number<'_>) {
        match number {
            Number::Attempt(attempt) => *attempt = place(&self.attempts, *attempt).unwrap(),
            Number::Daemon(daemon) => {
                let serial = place(&self.serials, u64::from(daemon.pid) - 1000).unwrap();
                *daemon = values::daemon(1000 + u32::try_from(serial).unwrap());
            }
            Number::Archive(archive) => self.rename_archive(archive),
            Number::Binary(binary) => {
                let new = of_binary(binary).and_then(|serial| place(&self.serials, serial));
                if let Some(serial) = new {
                    binary.identity = format!("file {serial}");
                }
            }
        }
    }

    fn rename_archive(&self, archive: &mut Archive) {
        let old = of_archive(archive);
        let new = old.and_then(|serial| place(&self.serials, serial));
        if let Some(serial) = new.filter(|_| new != old) {
            let sha256 = archive.sha256.take();
            *archive = Archive { sha256, ..values::archive(serial) };
        }
    }

    fn rename_oracle(&self, oracle: &mut crate::model::oracle::Oracle) {
        oracle.renumber(&|attempt| place(&self.attempts, attempt), &mut |archive| {
            self.rename_archive(archive);
        });
    }
}
