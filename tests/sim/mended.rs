//! What the simulation has found once, each as a story of its own.

use super::disk::{Keep, Op, Reach};
use super::story::{Death, Mishap, Play, Step, Story, usual};
use super::sweep::operations;
use crate::model::stimulus::Stimulus;

const KILL: Death = Death::Kill;
/// Bytes are kept, and names that were not synced are not.
const CUT: Death = Death::Power(Keep::Bytes);

fn story(steps: &[Step]) -> Story {
    Story { settings: usual(), steps: steps.to_vec(), mishaps: Vec::new() }
}

fn upgrade() -> Story {
    story(&[Step::Do(Stimulus::Announce(0)), Step::Rest])
}

fn ends_well(story: &Story, mishaps: &[Mishap]) {
    let story = Story { mishaps: mishaps.to_vec(), ..story.clone() };
    Play::new(&story).play().unwrap();
}

/// The number of the first operation of this kind on a file or folder of this name.
fn first(story: &Story, op: Op, name: &str) -> u64 {
    let is = |(of, path): &(Op, std::path::PathBuf)| *of == op && path.ends_with(name);
    let before = operations(story).iter().position(is).unwrap();
    u64::try_from(before).unwrap() + 1
}

/// Killed before the operation of this number, then without power somewhere in the next session.
fn killed_and_cut(story: &Story, killed_at: u64) {
    for cut_at in 1..60 {
        ends_well(story, &[Mishap::Dies(killed_at, KILL), Mishap::Dies(cut_at, CUT)]);
    }
}

#[test]
fn h16_a_folder_that_a_killed_process_left_is_synced_before_it_is_used() {
    let story = upgrade();
    killed_and_cut(&story, first(&story, Op::Create, "journal") + 1);
}

#[test]
fn h16_a_segment_that_a_killed_process_began_is_synced_before_it_is_written_on() {
    let story = upgrade();
    killed_and_cut(&story, first(&story, Op::Rename, "00000001.jsonl") + 1);
}

#[test]
fn h16_a_version_file_that_a_killed_process_moved_is_synced_before_that_is_recorded() {
    let story = upgrade();
    killed_and_cut(&story, first(&story, Op::Rename, "current-version-info.json") + 1);
}

/// What a killed process has written and not synced is read, and gone with the next failed sync.
#[test]
fn h14_a_record_that_a_killed_process_did_not_sync_is_synced_before_more_follow() {
    let story = upgrade();
    let killed = Mishap::Dies(first(&story, Op::Sync, "00000001.jsonl"), KILL);
    for at in 1..30 {
        ends_well(&story, &[killed, Mishap::Fails(at, Reach::NoRoom(4))]);
        for cache_lies in [false, true] {
            let fails = Mishap::Fails(at, Reach::Io { lasts: 1, cache_lies });
            ends_well(&story, &[killed, fails]);
            ends_well(&story, &[killed, fails, Mishap::Dies(30, CUT)]);
        }
    }
}

/// The journal's folder can't be looked at for a moment: it is not taken for absent.
#[test]
fn h14_a_journal_that_can_not_be_looked_at_is_not_begun_anew_over_the_old_one() {
    let stopped = story(&[Step::Rest, Step::Do(Stimulus::Stop), Step::Rest]);
    for at in 1..20 {
        let io = Reach::Io { lasts: 1, cache_lies: false };
        ends_well(&stopped, &[Mishap::Fails(37, Reach::NoRoom(1)), Mishap::Fails(at, io)]);
    }
}
