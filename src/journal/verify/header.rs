//! Whether a segment takes up where the one before it ends.

use super::super::segment::{self, Content};
use super::super::{Error, Hash, Mishap, Pruned, describe};
use super::result::{FaultKind, Last};
use super::{Walk, failed};
use crate::disk::Kind;
use crate::machine::{Code, State, Trouble};

impl Walk<'_> {
    pub(super) fn judge_header(
        &mut self,
        file: &str,
        number: u64,
        content: &Content,
        before: Option<Last>,
    ) -> Result<(), Error> {
        let header = &content.header;
        if header.segment != number {
            let text = format!("it is segment {}, under the name of {number}", header.segment);
            self.header_fault(FaultKind::Sequence, file, text);
        }
        let pruned = self.pruned_before(number).cloned();
        if let Some(pruned) = &pruned {
            self.judge_after_pruned(file, content, pruned);
        }
        match (&header.after, before) {
            (Some(mishap @ Mishap::Damaged { kept_as, sha256, .. }), _) => {
                self.fault(FaultKind::SetAside, file, None, describe(mishap));
                self.set_aside.remove(kept_as);
                self.judge_kept(file, kept_as, &|bytes| {
                    (Hash::of(bytes).as_str() != sha256).then(|| {
                        format!("{kept_as} is not as it was set aside: its sha256 is not {sha256}")
                    })
                })?;
                self.judge_beginning(file, content);
            }
            (after, Some(before)) => {
                self.judge_link(file, content, &before);
                if let Some(mishap) = after {
                    self.judge_mishap(file, mishap, &before.file)?;
                }
            }
            (Some(mishap), None) if pruned.is_some() => {
                let before = segment::path(self.folder, number.saturating_sub(1));
                let before = before.file_name().unwrap_or_default().to_string_lossy();
                self.judge_mishap(file, mishap, &before)?;
            }
            (None, None) if number == 1 => {
                self.judge_beginning(file, content);
                let state = &header.state;
                // Where the journal was removed, the disk tells of earlier roll-backs and wishes.
                let never_run = State {
                    troubles: state.troubles.clone(),
                    last_attempt: state.last_attempt,
                    holding: state.holding.clone(),
                    ..State::initial(state.installed.clone(), state.policy.clone())
                };
                let of_disk = |trouble: &Trouble| {
                    trouble.failure.code == Code::RolledBack || trouble.is_cancelled()
                };
                if *state != never_run || !state.troubles.iter().all(of_disk) {
                    let text = "it begins with a state other than one that has never run";
                    self.header_fault(FaultKind::Illegal, file, text.to_owned());
                }
            }
            // What it follows can't be read: that is on the list already.
            (Some(_) | None, None) => {}
        }
        Ok(())
    }

    /// A new chain follows nothing.
    fn judge_beginning(&mut self, file: &str, content: &Content) {
        if content.header_prev != Hash::none() {
            let text = "it begins a chain, and names a line before it (prev)";
            self.header_fault(FaultKind::Chain, file, text.to_owned());
        }
        if content.header.seq != 0 {
            let text = format!("it begins a chain, and names record {}", content.header.seq);
            self.header_fault(FaultKind::Sequence, file, text);
        }
    }

    /// The first that was left names the end of what was pruned.
    fn judge_after_pruned(&mut self, file: &str, content: &Content, pruned: &Pruned) {
        if content.header_prev != pruned.hash {
            let text = "it does not follow what was pruned (prev)";
            self.header_fault(FaultKind::Chain, file, text.to_owned());
        }
        if content.header.seq != pruned.seq {
            let text = format!(
                "it follows record {}, but what was pruned ends at {}",
                content.header.seq, pruned.seq
            );
            self.header_fault(FaultKind::Sequence, file, text);
        }
    }

    fn judge_link(&mut self, file: &str, content: &Content, before: &Last) {
        let header = &content.header;
        let linked = content.header_prev == before.head;
        if !linked {
            let text = format!("it does not follow the last line of {} (prev)", before.file);
            self.header_fault(FaultKind::Chain, file, text);
        }
        if header.seq != before.seq {
            let text = format!(
                "it follows record {}, but {} ends at {}",
                header.seq, before.file, before.seq
            );
            self.header_fault(FaultKind::Sequence, file, text);
        } else if linked && header.state != before.state {
            let text = format!("its state is not the one that {} leads to", before.file);
            self.header_fault(FaultKind::Illegal, file, text);
        }
    }

    fn judge_mishap(&mut self, file: &str, mishap: &Mishap, before: &str) -> Result<(), Error> {
        let (about, kept) = match mishap {
            Mishap::TornTail { file: about, bytes, kept_as } => (about, Some((*bytes, kept_as))),
            Mishap::WriteFailed { file: about, .. } => (about, None),
            Mishap::Damaged { .. } => return Ok(()),
        };
        self.result.notes.push(describe(mishap));
        if about != before {
            let text = format!("it tells of {about}, but follows {before}");
            self.header_fault(FaultKind::Sequence, file, text);
        }
        let Some((bytes, kept_as)) = kept else { return Ok(()) };
        self.judge_kept(file, kept_as, &|content| {
            let length = content.len() as u64;
            (length != bytes)
                .then(|| format!("{kept_as} has {length} bytes, and {bytes} were cut off"))
        })
    }

    /// Whether what was kept is there, and as it was.
    fn judge_kept(
        &mut self,
        file: &str,
        kept_as: &str,
        problem: &dyn Fn(&[u8]) -> Option<String>,
    ) -> Result<(), Error> {
        let path = self.folder.join(kept_as);
        // A name with a folder in it is none of ours.
        let kind = if path.parent() == Some(self.folder) {
            self.disk.kind(&path).map_err(failed(&path))?
        } else {
            None
        };
        let problem = match kind {
            Some(Kind::File(_)) => problem(&self.disk.read(&path).map_err(failed(&path))?)
                .map(|text| (FaultKind::Chain, text)),
            // It was no file when it was set aside, and counted as empty.
            Some(Kind::Folder | Kind::Link | Kind::Other) => {
                problem(&[]).map(|text| (FaultKind::Chain, text))
            }
            None => Some((FaultKind::Sequence, format!("{kept_as} was kept, and is gone"))),
        };
        if let Some((kind, text)) = problem {
            self.header_fault(kind, file, text);
        }
        Ok(())
    }
}
