//! What the simulation has found once, each as a story of its own.

use super::disk::{Keep, Reach};
use super::story::{Death, Mishap, Play, Step, Story, usual};
use crate::model::stimulus::Stimulus;

fn ends_well(steps: &[Step], mishaps: &[Mishap]) {
    let story = Story { settings: usual(), steps: steps.to_vec(), mishaps: mishaps.to_vec() };
    Play::new(&story).play().unwrap();
}

/// Killed between making the journal's folder and syncing the one around it, then without power.
#[test]
fn h16_a_folder_that_a_killed_process_left_is_synced_before_it_is_used() {
    for killed_at in 1..40 {
        for cut_at in 1..40 {
            let announce = Step::Do(Stimulus::Announce(0));
            let mishaps = [
                Mishap::Dies(killed_at, Death::Kill),
                Mishap::Dies(cut_at, Death::Power(Keep::Bytes)),
            ];
            ends_well(&[announce], &mishaps);
        }
    }
}

/// The journal's folder can't be looked at for a moment: it is not taken for absent.
#[test]
fn h14_a_journal_that_can_not_be_looked_at_is_not_begun_anew_over_the_old_one() {
    let stopped = [Step::Rest, Step::Do(Stimulus::Stop), Step::Rest];
    for at in 1..20 {
        let io = Reach::Io { lasts: 1, cache_lies: false };
        ends_well(&stopped, &[Mishap::Fails(37, Reach::NoRoom(1)), Mishap::Fails(at, io)]);
    }
}
