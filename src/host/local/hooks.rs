//! The operator's commands: started with what they have to know, told of when they have ended.

use std::ffi::OsString;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};

use super::super::{daemon, processes};
use super::{LocalHost, Setup, process};
use crate::config::CommandLine;
use crate::machine::{Event, Hook, HookCall};
use crate::release::UpgradeName;

mod output;
mod run;
mod variables;

pub(super) use run::{Ran, run};
pub(super) use variables::of_instance;

/// A command that runs, and the end that it can be given.
#[derive(Debug)]
pub(super) struct Task {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The commands that run.
#[derive(Debug, Default)]
pub(super) struct Commands(Vec<(Hook, Option<u64>, Task)>);

impl Task {
    /// Begins something that ends early where the receiver says so.
    pub(super) fn begin<F: Future<Output = ()> + 'static>(
        work: impl FnOnce(watch::Receiver<bool>) -> F,
    ) -> Self {
        let stop = watch::Sender::new(false);
        let task = spawn_local(work(stop.subscribe()));
        Self { stop, task }
    }

    /// Asks it to end; what is to be waited for until it has.
    pub(super) fn end(self) -> JoinHandle<()> {
        self.stop.send_replace(true);
        self.task
    }
}

impl Commands {
    /// Asks all of them to end.
    pub(super) fn end_all(&mut self) -> Vec<JoinHandle<()>> {
        self.0.drain(..).map(|(_, _, task)| task.end()).collect()
    }
}

impl LocalHost {
    pub(super) fn run_hook(&mut self, call: &HookCall) {
        self.hooks.0.retain(|(_, _, task)| !task.task.is_finished());
        let (hook, attempt, next) = (call.hook, call.attempt, call.next);
        let teller = self.teller.clone();
        let timeout = self.setup.config.daemon.hook_timeout;
        let command = command(&self.setup, call);
        let began = Instant::now();
        let task = Task::begin(move |stop| async move {
            let ran = match command {
                Some(command) => run(&command, Some(hook.name()), timeout, stop).await,
                None => Some(Ran::never("it is not configured any more".to_owned())),
            };
            // Whoever had it ended early waits for no answer.
            let Some(Ran { ending, said }) = ran else { return };
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            teller.tell(Event::HookEnded { hook, attempt, next, ending, took_ms, said });
        });
        self.hooks.0.push((hook, attempt, task));
    }

    /// What was to come before this upgrade comes before nothing any more.
    pub(super) fn end_hooks_of(&mut self, attempt: u64) {
        let is_its = |(hook, of, _): &mut (Hook, Option<u64>, Task)| {
            *hook == Hook::PreUpgrade && *of == Some(attempt)
        };
        let ended: Vec<_> = self.hooks.0.extract_if(.., is_its).collect();
        self.chores.extend(ended.into_iter().map(|(_, _, task)| task.end()));
    }
}

fn command(setup: &Setup, call: &HookCall) -> Option<daemon::Command> {
    let daemon = &setup.config.daemon;
    let line = match call.hook {
        Hook::PreUpgrade => &daemon.pre_upgrade_command,
        Hook::PreStart => &daemon.pre_start_command,
        Hook::PostUpgrade => &daemon.post_upgrade_command,
        Hook::OnFailure => &daemon.on_failure_command,
    };
    let variables = variables::of_call(setup, call);
    Some(command_of(setup, line.as_ref()?, variables))
}

/// What is executed, with the daemon's environment and these variables.
pub(super) fn command_of(
    setup: &Setup,
    line: &CommandLine,
    variables: Vec<(OsString, OsString)>,
) -> daemon::Command {
    let is_ours = |name: &OsString| variables.iter().any(|(ours, _)| ours == name);
    let mut envs: Vec<_> = setup.env.iter().filter(|(name, _)| !is_ours(name)).cloned().collect();
    envs.extend(variables);
    daemon::Command {
        binary: line.program.clone(),
        args: line.args.iter().map(OsString::from).collect(),
        // Another one than the daemon's: what is left of that is ended without it.
        token: process::token(setup) + processes::COMMAND_SUFFIX,
        remove_env: Vec::new(),
        envs,
    }
}

/// Where a version's files lie; nowhere if its name can't be one.
fn named(name: &str) -> Option<UpgradeName> {
    UpgradeName::installed(name).ok()
}
