//! With every command there is, and a health check.

use super::super::story::usual;
use super::{KILLED, Named, U1, of};
use crate::model::luck::Luck;
use crate::model::stimulus::{Settings, Stimulus};
use crate::sim::story::Step::{self, Do, Rest, Until};
use Stimulus::{Announce, Finish, Hold, Release, Stop};

pub(super) fn hooked() -> Vec<Named> {
    let settings = Settings { has_hooks: true, ..usual() };
    let by_itself = Settings { rolls_back: true, max_failures: 1, ..settings };
    let fails = || Do(Finish(0, Luck::Bad(0)));
    // While the pre-upgrade command runs.
    let asked =
        |what| of(settings, &[Do(Announce(U1)), Until("copy-home"), Until("run-hook"), what, Rest]);
    let not_now = || Do(Finish(0, Luck::Bad(1)));
    let put_off = |what: &[Step]| {
        let asked = [Do(Announce(U1)), Until("copy-home"), Until("run-hook"), not_now()];
        of(settings, &[&asked[..], what, &[Rest]].concat())
    };
    let for_a_moment = [Until("refresh-copy"), Do(Hold(false)), Do(Release)];
    let held = [&[Do(Announce(U1))][..], &for_a_moment, &[Rest]].concat();
    let unhealthy = [Do(Announce(U1)), Until("check-health"), fails(), Rest];
    vec![
        ("every command says yes", "u1", of(settings, &[Do(Announce(U1)), Rest])),
        ("the pre-upgrade command says no", "genesis", asked(fails())),
        ("killed before the pre-upgrade command says yes", "u1", asked(KILLED)),
        ("stopped before the pre-upgrade command says yes", "u1", asked(Do(Stop))),
        ("the pre-upgrade command says not now", "u1", put_off(&[])),
        ("not now, and not now again", "u1", put_off(&[Until("run-hook"), not_now()])),
        ("put off, and killed", "u1", put_off(&[KILLED])),
        ("put off, and stopped", "u1", put_off(&[Do(Stop)])),
        ("held for a moment after a yes", "u1", of(settings, &held)),
        ("the new version is not healthy", "genesis", of(by_itself, &unhealthy)),
    ]
}
