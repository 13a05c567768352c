//! What the simulation has found once, each as a story of its own.

use std::sync::Arc;

use nymvisor::host::files::{self, Files};

use super::disk::{Fault, Keep, Op, Reach, SimDisk};
use super::install;
use super::story::{Death, Mishap, Play, Step, Story, usual};
use super::sweep::operations;
use crate::model::luck::Luck;
use crate::model::stimulus::{How, Settings, Stimulus, Tamper, catalogue};
use crate::model::values;

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

/// Killed at each operation of a commit, which is then made in whole; then the power fails.
fn killed_in_commit(
    disk: &SimDisk,
    commit: impl Fn(&SimDisk) -> Result<String, files::Error>,
    judge: impl Fn(&SimDisk),
) {
    for at in 1.. {
        let disk = disk.copy();
        disk.plan(Some(Fault::new(at, Reach::Stop)));
        let is_over = commit(&disk).is_ok() && !disk.is_stopped();
        disk.plan(None);
        assert_eq!(commit(&disk).unwrap(), "", "killed at {at}");
        disk.cut_power(Keep::Bytes);
        judge(&disk);
        if is_over {
            return;
        }
    }
}

#[test]
fn h16_a_version_file_that_a_killed_process_moved_is_synced_by_whoever_goes_on() {
    let (disk, paths) = install::installed();
    let files = |disk: &SimDisk| Files::new(Arc::new(disk.clone()), paths.clone());
    let info = install::announcement(&catalogue(0));
    install::put_version(&disk, &paths, &info);
    files(&disk).enqueue(&info).unwrap();
    files(&disk).keep_details(&info, &install::details("1.1.0")).unwrap();
    let (upgrade, genesis) = (info.to_upgrade(), values::genesis());
    let commit = |disk: &SimDisk| files(disk).commit(&upgrade, None, values::at(1));
    let back = |disk: &SimDisk| files(disk).roll_back(&upgrade, &genesis, values::at(2));
    killed_in_commit(&disk, commit, |disk| {
        assert_eq!(files(disk).version().unwrap(), upgrade.target());
    });
    commit(&disk).unwrap();
    killed_in_commit(&disk, back, |disk| {
        assert_eq!(files(disk).version().unwrap(), genesis);
    });
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
    let restarted = Mishap::Dies(first(&stopped, Op::Sync, "00000001.jsonl") + 2, KILL);
    for (at, lasts) in (1..30).flat_map(|at| [1, 2, 3].map(|lasts| (at, lasts))) {
        let io = Reach::Io { lasts, cache_lies: false };
        ends_well(&stopped, &[restarted, Mishap::Fails(at, io)]);
    }
}

/// Found committed while the journal fails, a swap is never recorded as such: what counts is what
/// the look has found.
#[test]
fn a_swap_that_is_found_committed_keeps_its_backup() {
    let settings = Settings { restart_after_upgrade: false, max_failures: 0, ..usual() };
    let steps = vec![Step::Do(Stimulus::Tamper(Tamper::Queue(0))), Step::Rest];
    let story = Story { settings, steps, mishaps: Vec::new() };
    let [second, third] = [(56, 19), (33, 15)];
    let fails = |(at, lasts)| Mishap::Fails(at, Reach::NoRoom(lasts));
    ends_well(&story, &[Mishap::Dies(107, KILL), fails(second), fails(third)]);
}

/// The journal's folder could not be made durable: nothing is done on the word of what is in it.
#[test]
fn h14_a_journal_whose_folder_can_not_be_synced_is_held_in_memory() {
    let rest = [Step::Rest, Step::Do(Stimulus::Stop), Step::Rest];
    let story = story(&[&[Step::Do(Stimulus::Announce(0))][..], &rest].concat());
    let at = first(&story, Op::Create, "journal") + 1;
    let io = Mishap::Fails(at, Reach::Io { lasts: 1, cache_lies: false });
    for cut_at in 1..60 {
        ends_well(&story, &[io, Mishap::Dies(cut_at, Death::Power(Keep::Nothing))]);
    }
    for lasts in 1..40 {
        let io = Mishap::Fails(at, Reach::Io { lasts, cache_lies: false });
        ends_well(&story, &[io, Mishap::Dies(1, Death::Power(Keep::Nothing))]);
    }
}

/// The name of the first segment was never synced, and that of the one begun in its stead is kept.
#[test]
fn h16_a_segment_does_not_outlive_the_one_before() {
    let story = upgrade();
    let killed = Mishap::Dies(first(&story, Op::Rename, "00000001.jsonl") + 1, KILL);
    for (fails_at, later) in (8..20).flat_map(|at| (1..12).map(move |later| (at, later))) {
        for seed in 0..8 {
            let io = Reach::Io { lasts: 1, cache_lies: false };
            let cut = Death::Power(Keep::Seed(seed));
            ends_well(&story, &[killed, Mishap::FailsAndDies(fails_at, io, later, cut)]);
        }
    }
}

/// A doubtful journal is written again, and the process killed meanwhile.
#[test]
fn h14_records_that_are_written_again_are_never_missing_in_between() {
    let story = upgrade();
    for (fails_at, later) in (5..12).flat_map(|at| (1..40).map(move |later| (at, later))) {
        let io = Reach::Io { lasts: 1, cache_lies: false };
        let again = Mishap::FailsAndDies(fails_at, io, later, KILL);
        ends_well(&story, &[Mishap::Dies(60, KILL), again]);
    }
}

/// A segment that tells of a failed write is itself damaged, and set aside with what it told.
#[test]
fn a_torn_segment_counts_as_known_where_its_successor_is_set_aside() {
    let settings = Settings { restart_after_upgrade: false, max_failures: 0, ..usual() };
    let ends = Step::Do(Stimulus::DaemonEnds(How::Well, 50));
    let steps = vec![Step::Rest, ends, Step::Rest];
    let story = Story { settings, steps, mishaps: Vec::new() };
    let io = Mishap::Fails(23, Reach::Io { lasts: 1, cache_lies: false });
    let cut = |seed| Mishap::Dies(21, Death::Power(Keep::Seed(seed)));
    for seed in 0..40 {
        ends_well(&story, &[io, cut(seed)]);
    }
    ends_well(&story, &[io, cut(15_704_510_485_056_425_040)]);
}

/// A plan that was lost and can't be rebuilt leaves an engine that pauses, tries again, and is at
/// rest as far as anybody can wait for it; the next session rebuilds it.
#[test]
fn a_plan_that_could_not_be_rebuilt_is_rebuilt_by_the_next_session() {
    let settings = Settings { max_failures: 0, ..usual() };
    let lost = [Tamper::LosePlan, Tamper::LoseVersion].map(|lost| Step::Do(Stimulus::Tamper(lost)));
    let steps = [&[Step::Rest, Step::Do(Stimulus::Announce(0))][..], &lost].concat();
    let story = Story { settings, steps, mishaps: Vec::new() };
    let killed = Mishap::FailsAndDies(42, Reach::NoRoom(1), 24, KILL);
    for at in 30..50 {
        let io = Reach::Io { lasts: 1, cache_lies: false };
        ends_well(&story, &[killed, Mishap::Fails(at, io)]);
    }
}

/// No room for one write, after a swap has begun: plan, history and link follow in the end.
#[test]
fn a_plan_that_could_not_follow_the_swap_follows_later() {
    let queue = Step::Do(Stimulus::Tamper(Tamper::Queue(1)));
    let steps = [queue, Step::Until("commit-swap"), Step::Do(Stimulus::Announce(0))];
    let story = story(&steps);
    for at in 100..260 {
        ends_well(&story, &[Mishap::Fails(at, Reach::NoRoom(1))]);
    }
}

/// A version file that can't be read for a moment, moved by hand meanwhile.
#[test]
fn a_version_that_was_moved_by_hand_and_not_seen_is_seen_by_the_next_session() {
    let moved = Step::Do(Stimulus::Tamper(Tamper::MoveVersion));
    let story = story(&[moved, Step::Rest, Step::Do(Stimulus::Stop), Step::Rest]);
    for at in 1..30 {
        let io = Reach::Io { lasts: 1, cache_lies: false };
        ends_well(&story, &[Mishap::Dies(25, KILL), Mishap::Fails(at, io)]);
    }
}

/// The version file can't be read for a moment, after a swap was cut short: which version may be
/// started is not guessed.
#[test]
fn h14_a_version_file_that_can_not_be_read_is_read_again() {
    let story = story(&[Step::Do(Stimulus::Tamper(Tamper::Queue(0)))]);
    let moved = first(&story, Op::Rename, "current-version-info.json");
    for at in 1..40 {
        let io = Reach::Io { lasts: 4, cache_lies: false };
        ends_well(&story, &[Mishap::Dies(moved + 1, KILL), Mishap::Fails(at, io)]);
    }
}

/// What is known of a backup changes once it has been read whole: it gets its digest. It is still
/// the backup that a roll-back needs, on whichever side of the reading that is asked for.
#[test]
fn a_backup_that_was_read_since_it_was_sealed_is_still_the_one_to_restore() {
    let settings = Settings { max_failures: 0, ..usual() };
    let (announced, back) = (Step::Do(Stimulus::Announce(0)), Step::Do(Stimulus::RollBack(1)));
    let told = |steps: &[Step]| Story { settings, steps: steps.to_vec(), mishaps: Vec::new() };
    let upgraded = told(&[announced.clone(), Step::Rest, back.clone()]);
    ends_well(&upgraded, &[Mishap::Dies(1, KILL)]);
    let unread = told(&[announced.clone(), Step::Until("examine-backup"), back.clone()]);
    ends_well(&unread, &[]);
    let asked_before = told(&[Step::Rest, back, Step::Rest, announced]);
    for at in 30..60 {
        let io = Reach::Io { lasts: 1, cache_lies: false };
        ends_well(&asked_before, &[Mishap::Fails(at, io)]);
    }
}

/// Of the record that a power cut takes half of, the beginning or the middle may be missing. It is
/// not yet acted on: the roll-back that the records before it tell of goes on.
#[test]
fn h14_a_roll_back_is_not_forgotten_for_a_hole_in_the_last_record() {
    let steps = [
        Step::Do(Stimulus::Announce(0)),
        Step::Rest,
        Step::Do(Stimulus::RollBack(1)),
        Step::Until("restore-home"),
    ];
    let story = story(&[&steps[..], &[Step::Rest]].concat());
    let placed = first(&story, Op::Rename, "state.json") + 4;
    let seeds = [12, 23, 30, 31, 38];
    for (at, seed) in (1..30).flat_map(|at| seeds.map(|seed| (at, seed))) {
        let cut = Mishap::Dies(at, Death::Power(Keep::Seed(seed)));
        ends_well(&story, &[Mishap::Dies(placed, KILL), cut]);
    }
}

/// The version file has its name, and for a while nothing of it can be read: the swap is in doubt,
/// and no version is started before it is not.
#[test]
fn h16_a_swap_in_doubt_is_looked_at_until_the_version_file_can_be_read() {
    let story = upgrade();
    let committed = operations(&story)
        .iter()
        .rposition(|(op, path)| *op == Op::Rename && path.ends_with("current-version-info.json"));
    let fails_at = u64::try_from(committed.unwrap()).unwrap() + 2;
    for lasts in 1..20 {
        ends_well(&story, &[Mishap::Fails(fails_at, Reach::Io { lasts, cache_lies: false })]);
    }
}

/// The version file has moved and the history has, the plan has not, and before it can be moved a
/// person takes the upgrade out of it: the plan still follows what runs.
#[test]
fn the_plan_follows_a_commit_that_was_taken_out_of_it_half_way() {
    for at in 0..24 {
        let steps = [
            Step::Do(Stimulus::Announce(3)),
            Step::Until("commit-swap"),
            Step::Do(Stimulus::Finish(0, Luck::Bad(at))),
            Step::Do(Stimulus::Tamper(Tamper::Unqueue(3))),
        ];
        ends_well(&story(&steps), &[]);
    }
}

/// The plan has followed a roll-back, and is seen to, before its name is durable: a power cut that
/// takes it back finds somebody who moves it again.
#[test]
fn h14_a_plan_that_a_power_cut_takes_back_follows_a_roll_back_again() {
    let back = Step::Do(Stimulus::RollBack(2));
    let story = story(&[Step::Do(Stimulus::Announce(0)), Step::Rest, back, Step::Rest]);
    let moved = operations(&story)
        .iter()
        .rposition(|(op, path)| *op == Op::Rename && path.ends_with("upgrade-plan.json"));
    let after = u64::try_from(moved.unwrap()).unwrap() + 1;
    let io = Reach::Io { lasts: 1, cache_lies: false };
    for (fails, dies) in (1..5).flat_map(|fails| (1..20).map(move |dies| (fails, dies))) {
        ends_well(&story, &[Mishap::FailsAndDies(after + fails, io, dies, CUT)]);
    }
}
