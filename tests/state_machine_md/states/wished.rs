//! States in which what persons wish, and what the calendar says, counts.

use nymvisor::machine::{Event, Holding, Policy, State, Window};

use super::{more, representatives, u1};
use crate::model::values::by_command;

/// The same state while a person holds upgrades, and while one asks for a window.
fn wished(state: &State) -> Vec<State> {
    if state.recovering {
        return Vec::new();
    }
    let holding = Some(Holding { until: Some(u1().due_at), requester: by_command(u1()).requester });
    let held = State { holding, ..state.clone() };
    let policy = Policy { keeps_windows: true, ..state.policy.clone() };
    let window = Some(Window::Asked);
    let asks = state.candidate.is_some().then(|| State { policy, window, ..state.clone() });
    std::iter::once(held).chain(asks).collect()
}

/// All of them. While a run ends nothing but a wish or the calendar meets what is ready.
pub(super) fn all_wished() -> Vec<State> {
    let mut all = representatives();
    more::while_the_run_ends(&mut |tale| all.push(tale.engine.state.clone()));
    all.iter().flat_map(wished).collect()
}

pub(super) fn is_of_wishes(event: &Event) -> bool {
    matches!(
        event,
        Event::HoldRequested { .. }
            | Event::ReleaseRequested { .. }
            | Event::HoldElapsed { .. }
            | Event::WindowOpened { .. }
            | Event::WindowClosed { .. }
    )
}
