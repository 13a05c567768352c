//! Stories told step by step, and written down as they happen.

use std::fmt;

use nymvisor::machine::{Code, Effect, Event, PhaseName, Policy, Timer, Upgrade};

use super::engine::Engine;
use super::files::enqueue;
use super::host;
use super::luck::Luck;
use super::stimulus::How;
use super::{show, values};

/// An engine with a script: every record becomes a line.
pub(crate) struct Tale {
    pub(crate) engine: Engine,
    lines: Vec<String>,
    told: usize,
}

impl fmt::Display for Tale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl Tale {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { engine: Engine::new(policy), lines: Vec::new(), told: 0 }
    }

    /// A tale whose daemon is up, told from there.
    pub(crate) fn running(policy: Policy) -> Self {
        let mut tale = Self::new(policy);
        tale.start().work(2);
        tale.forget();
        tale
    }

    /// The same with an upgrade that is announced, prepared and waits for its time.
    pub(crate) fn ready(policy: Policy, upgrade: &Upgrade) -> Self {
        let mut tale = Self::running(policy);
        tale.queue(upgrade).work(4);
        tale.forget();
        tale
    }

    /// The same, gone on to a phase of the attempt.
    pub(crate) fn at(policy: Policy, upgrade: &Upgrade, phase: PhaseName) -> Self {
        let mut tale = Self::ready(policy, upgrade);
        tale.due().until(phase);
        tale.forget();
        tale
    }

    /// Leaves out what was told so far.
    pub(crate) fn forget(&mut self) {
        self.lines.clear();
    }

    pub(crate) fn start(&mut self) -> &mut Self {
        let policy = self.engine.state.policy.clone();
        self.start_with(policy)
    }

    pub(crate) fn start_with(&mut self, policy: Policy) -> &mut Self {
        self.engine.start(policy).unwrap();
        self.tell()
    }

    /// The oldest so many orders are carried out.
    pub(crate) fn work(&mut self, times: usize) -> &mut Self {
        for _ in 0..times {
            self.engine.finish(0, Luck::Good).unwrap();
        }
        self.tell()
    }

    /// A tale whose daemon is up after its pre-start command.
    pub(crate) fn hooked_start(policy: Policy) -> Self {
        let mut tale = Self::new(policy);
        tale.start().work(3);
        tale.forget();
        tale
    }

    /// The same as [`Tale::ready`] with every command there is, which says yes before the start.
    pub(crate) fn hooked(policy: Policy, upgrade: &Upgrade) -> Self {
        let mut tale = Self::hooked_start(policy);
        tale.queue(upgrade).work(4);
        tale.forget();
        tale
    }

    /// A tale with every command there is, whose new version is asked for its health.
    pub(crate) fn asked(policy: Policy, upgrade: &Upgrade) -> Self {
        let mut tale = Self::hooked(policy, upgrade);
        tale.due().until(PhaseName::Restarting).work(2);
        tale
    }

    /// One that is not healthy, while so many steps of the next upgrade are done.
    pub(crate) fn unhealthy_while(
        policy: Policy,
        upgrade: &Upgrade,
        next: &Upgrade,
        steps: usize,
    ) -> Self {
        const STEPS: [&str; 6] =
            ["fetch-binary", "check-binary", "check-room", "copy-home", "run-hook", "refresh-copy"];
        let mut tale = Self::asked(policy, upgrade);
        tale.queue(next);
        for (at, step) in STEPS.into_iter().enumerate().take(steps) {
            if at == 4 {
                tale.due();
            }
            tale.finish(step, Luck::Good);
        }
        tale.finish("check-health", Luck::Bad(0));
        tale
    }

    /// The oldest order of this name turns out so.
    pub(crate) fn finish(&mut self, name: &str, luck: Luck) -> &mut Self {
        let world = &self.engine.world;
        let mut ready = (0..world.work.len()).filter(|at| world.can_finish(*at));
        let pick = ready.position(|at| world.work[at].name() == name);
        self.engine.finish(pick.unwrap(), luck).unwrap();
        self.tell()
    }

    /// All that can be carried out is, but for orders of this name.
    pub(crate) fn finish_all_but(&mut self, name: &str) -> &mut Self {
        loop {
            let world = &self.engine.world;
            let mut ready = (0..world.work.len()).filter(|at| world.can_finish(*at));
            let Some(pick) = ready.position(|at| world.work[at].name() != name) else {
                return self.tell();
            };
            self.engine.finish(pick, Luck::Good).unwrap();
        }
    }

    /// Orders are carried out, and the daemon ends when it is asked to, until `phase` is reached.
    pub(crate) fn until(&mut self, phase: PhaseName) -> &mut Self {
        for _ in 0..20 {
            if self.engine.state.phase.name() == phase {
                return self.tell();
            }
            let dying = self.engine.world.process.as_ref().is_some_and(|process| process.asked);
            if dying && self.engine.world.work.is_empty() {
                self.engine.daemon_ends(How::Well, 1_000_000).unwrap();
            } else {
                self.engine.finish(0, Luck::Good).unwrap();
            }
        }
        panic!("{phase} is not reached: {}", show::state(&self.engine.state));
    }

    /// The oldest order fails.
    pub(crate) fn fail(&mut self, code: Code) -> &mut Self {
        let effect = self.engine.world.work.remove(0);
        let failure = values::failure(code);
        let event = match effect {
            Effect::SpawnDaemon(_) => Event::SpawnFailed { failure },
            effect => {
                let attempt = host::whose(&effect).unwrap_or_default();
                Event::WorkFailed { attempt, failure }
            }
        };
        self.event(event)
    }

    pub(crate) fn event(&mut self, event: Event) -> &mut Self {
        let name = show::event(&event);
        let before = self.engine.records.len();
        self.engine.take(event).unwrap();
        self.tell();
        if self.engine.records.len() == before {
            self.lines.push(format!("{name}: refused"));
        }
        self
    }

    pub(crate) fn stop(&mut self) -> &mut Self {
        self.event(Event::StopRequested { signal: 15 })
    }

    /// The operator wants the last upgrade to be rolled back, with its data.
    pub(crate) fn roll_back(&mut self) -> &mut Self {
        self.engine.roll_back(1).unwrap();
        self.tell()
    }

    pub(crate) fn due(&mut self) -> &mut Self {
        self.engine.come_due().unwrap();
        self.tell()
    }

    pub(crate) fn fire(&mut self, timer: &Timer) -> &mut Self {
        self.engine.fire(timer).unwrap();
        self.tell()
    }

    /// An upgrade is put into the plan, and the plan is read.
    pub(crate) fn queue(&mut self, upgrade: &Upgrade) -> &mut Self {
        enqueue(self.engine.world.files.queue.as_mut().unwrap(), upgrade);
        self.read_plan()
    }

    pub(crate) fn read_plan(&mut self) -> &mut Self {
        self.engine.read_plan().unwrap();
        self.tell()
    }

    pub(crate) fn daemon_ends(&mut self, how: How, uptime_ms: u64) -> &mut Self {
        self.engine.daemon_ends(how, uptime_ms).unwrap();
        self.tell()
    }

    /// Killed, with none of the work done that was ordered last.
    pub(crate) fn crash(&mut self) -> &mut Self {
        self.crash_with(0, false)
    }

    pub(crate) fn crash_with(&mut self, done: u8, daemon_survives: bool) -> &mut Self {
        use super::stimulus::Stimulus;
        self.engine.happen(&Stimulus::Crash { done, daemon_survives }).unwrap();
        self.lines.push("(killed)".to_owned());
        self
    }

    fn tell(&mut self) -> &mut Self {
        let records = self.engine.records.iter().skip(self.told);
        let states = &self.engine.states;
        for (record, state) in records.zip(states.iter().skip(self.told)) {
            let line = format!("{}: {}", show::event(&record.event), show::state(state));
            self.lines.push(show::wrapped(&line));
            if !record.effects.is_empty() {
                let orders = format!("  => {}", show::effects(&record.effects));
                self.lines.push(show::wrapped(&orders));
            }
        }
        self.told = self.engine.records.len();
        self
    }
}
