//! Old segments of the journal.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::{Error, ask};
use super::{Item, Part, Task, in_words, outlived};
use crate::host::backup::{self, Records, Removed};
use crate::host::lock;
use crate::journal::{self, Review, Reviewed, SegmentFate};
use crate::machine::Archive;

const KEY: &str = "nymvisor.journal_retention";

pub(super) fn prune(task: &Task<'_>, backups: &[Item]) -> Part {
    let retention = task.config.nymvisor.journal_retention;
    let review = match review(task, backups) {
        Ok(review) => review,
        Err(error) => return Part::of("journal", KEY, retention, Err(error)),
    };
    let items = review.segments.iter().map(|segment| item(&review, segment)).collect();
    let mut part = Part::of("journal", KEY, retention, Ok(items));
    let would_go = review.segments.iter().any(|segment| segment.fate.goes());
    part.hindrance = review.fault.as_ref().filter(|_| would_go).map(|fault| {
        format!(
            "nothing is removed: the journal is not as it should be, and so it is evidence: \
             {fault}; `nymvisor journal verify` tells what to do"
        )
    });
    if !task.dry_run {
        let folder = task.paths.journal();
        let done = review.carry_out(task.disk, &folder, task.requester.clone());
        if let Err(error) = done {
            for item in &mut part.items {
                item.goes &= !is_there(&item.path);
            }
            part.hindrance.get_or_insert(in_words(&error));
        }
    }
    part
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn review(task: &Task<'_>, backups: &[Item]) -> Result<Review, Error> {
    let Task { disk, config, paths, .. } = task;
    let owner = ask::owner(config);
    let records = Records::read(*disk, &paths.journal(), &owner)?;
    let removed = Removed::load(*disk, &paths.removed_backups())?;
    // Those that are not there, and that nobody removed on purpose, may come back.
    let awaited: BTreeSet<PathBuf> = records
        .sealed()
        .map(|((folder, file), _)| paths.backups().join(folder).join(file))
        .filter(|path| !removed.has(&backup::name_of(path)))
        .collect();
    let has_backup = |archive: &Archive| {
        let path = backup::path_of(archive);
        let now = backup::place_now(paths.backups(), &path);
        let goes = backups.iter().any(|backup| backup.goes && backup.path == now);
        !goes && (is_there(&path) || is_there(&now) || awaited.contains(&now))
    };
    let is_written = lock::held_by(&paths.instance_lock()).is_some();
    let retention = config.nymvisor.journal_retention;
    Ok(journal::review(*disk, &paths.journal(), &owner, retention, is_written, &has_backup)?)
}

fn item(review: &Review, segment: &Reviewed) -> Item {
    let (why, text) = match segment.fate {
        SegmentFate::Outlived(why) => outlived(why),
        SegmentFate::LeftOver => ("left-over", "left over from an interrupted prune"),
        SegmentFate::Within => ("within", "within what is kept"),
        SegmentFate::Newest => ("newest", "one of the newest two"),
        SegmentFate::Backup => ("needed", "it tells of a backup that is there, or missing"),
        SegmentFate::Damage => ("needed", "it tells what was set aside as damaged"),
        SegmentFate::Behind => ("behind", "an older one stays"),
    };
    Item {
        name: segment.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: segment.path.clone(),
        bytes: segment.bytes,
        goes: segment.fate.goes() && review.fault.is_none(),
        why,
        text: text.to_owned(),
    }
}
