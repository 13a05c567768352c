//! The command line: one file a sub-command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::Env;
use crate::disk::RealDisk;
use crate::exit::Exit;

mod add_upgrade;
mod ask;
mod backups;
mod build_info;
mod check;
mod config;
mod daemon_build_info;
pub mod demo;
mod error;
mod examples;
mod init;
mod install;
mod journal;
mod manual;
mod metrics;
mod output;
mod play;
mod probe;
mod prune;
mod retry;
mod rollback;
mod run;
mod sharing;
mod split;
pub mod status;
mod systemd_unit;
mod upgrades;
mod user;

pub use error::Error;
pub use split::split;

static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{}\n\n{}", env!("CARGO_PKG_VERSION"), build_info::own().to_text().trim_end())
});

/// Runs a Nym daemon and upgrades it.
#[derive(Debug, Parser)]
#[command(name = "nymvisor", version, long_version = LONG_VERSION.as_str())]
#[command(about = "Process manager for Nym binaries: runs a daemon and upgrades it")]
#[command(after_help = examples::OVERVIEW)]
struct Cli {
    /// Path pointing to an env file that configures the nymvisor and overrides any preconfigured
    /// values (before the command where that is 'run')
    #[arg(short, long, global = true, value_name = "FILE")]
    config_env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Initialise a nymvisor instance with persistent config.toml file
    #[command(after_help = examples::INIT)]
    Init(Box<init::InitArgs>),
    /// Run the associated daemon with the preconfigured settings
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
    /// Show build information of this binary
    BuildInfo(output::OutputArgs),
    /// Show build information of the associated daemon
    DaemonBuildInfo(output::OutputArgs),
    /// Queue another upgrade for the associated daemon
    #[command(after_help = examples::ADD_UPGRADE)]
    AddUpgrade(add_upgrade::AddUpgradeArgs),
    /// Say whether the next upgrade would succeed, and how long it would take
    #[command(after_help = examples::CHECK)]
    Check(check::CheckArgs),
    /// Say how the instance is, and what comes next
    #[command(after_help = examples::STATUS)]
    Status(status::StatusArgs),
    /// Try an upgrade again that is held back after a failure
    #[command(after_help = examples::RETRY)]
    Retry(retry::RetryArgs),
    /// Show what is queued; hold, cancel or reschedule upgrades
    #[command(subcommand, after_help = examples::UPGRADES)]
    Upgrades(upgrades::UpgradesCommand),
    /// Go back to the version before the last upgrade
    #[command(after_help = examples::ROLLBACK)]
    Rollback(rollback::RollBackArgs),
    /// List, verify, restore or prune the backups of the daemon's home
    #[command(subcommand, after_help = examples::BACKUPS)]
    Backups(backups::BackupsCommand),
    /// Remove the versions, logs, backups and parts of the journal that are not to be kept
    #[command(after_help = examples::PRUNE)]
    Prune(prune::PruneArgs),
    /// Show what the engine did and why
    #[command(subcommand, after_help = examples::JOURNAL)]
    Journal(journal::JournalCommand),
    /// Show the metrics of this instance, or print alert rules and a dashboard for them
    #[command(subcommand, after_help = examples::METRICS)]
    Metrics(metrics::MetricsCommand),
    /// Show configuration options being used by this instance of nymvisor
    Config(output::OutputArgs),
    /// Print a unit for systemd that runs this instance
    #[command(after_help = examples::SYSTEMD_UNIT)]
    SystemdUnit(systemd_unit::SystemdUnitArgs),
    /// Print what lets a shell complete the commands
    #[command(after_help = examples::COMPLETIONS)]
    Completions(manual::CompletionsArgs),
    /// Print the manual page, or write those of all commands
    #[command(after_help = examples::MAN)]
    Man(manual::ManArgs),
    /// Watch a real upgrade, or a failure and what follows, in a temporary folder
    #[command(after_help = examples::DEMO)]
    Demo(demo::DemoArgs),
    /// Play a small daemon; what 'demo' runs
    #[command(hide = true)]
    PlayDaemon(play::PlayArgs),
}

/// What follows `run`. It doesn't go through clap: see [`split`].
#[derive(Debug, Args)]
struct RunArgs {
    /// Arguments for the daemon, passed on as they are ('run -- --help' for the daemon's own help)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    daemon_args: Vec<OsString>,
}

/// The definition of the command line.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the command that these arguments, the program's name first, ask for.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> Exit {
    let (ours, daemon_args) = split(arguments);
    let mut cli = match Cli::try_parse_from(ours) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    if let (Command::Run(run), Some(daemon_args)) = (&mut cli.command, daemon_args) {
        run.daemon_args = daemon_args;
    }
    match dispatch(&cli) {
        Ok(exit) => exit,
        Err(error) => {
            let error = user::explained(error);
            output::print_error(&error);
            error.exit()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Error> {
    let env = Env::read(cli.config_env_file.as_deref())?;
    let disk = &RealDisk;
    match &cli.command {
        Command::Init(args) => init::init(disk, &env, args)?,
        Command::Run(args) => run::run(&env, args.daemon_args.clone())?,
        Command::BuildInfo(args) => output::print_build_info(args.output, &build_info::own())?,
        Command::DaemonBuildInfo(args) => daemon_build_info::show(disk, &env, args.output)?,
        Command::AddUpgrade(args) => add_upgrade::add_upgrade(disk, &env, args)?,
        Command::Check(args) => return check::check(disk, &env, args),
        Command::Status(args) => return status::status(disk, &env, args),
        Command::Retry(args) => retry::retry(disk, &env, args)?,
        Command::Upgrades(command) => upgrades::upgrades(disk, &env, command)?,
        Command::Rollback(args) => rollback::rollback(disk, &env, args)?,
        Command::Backups(command) => return backups::backups(disk, &env, command),
        Command::Prune(args) => return prune::prune(disk, &env, args),
        Command::Journal(command) => return journal::journal(disk, &env, command),
        Command::Metrics(command) => metrics::metrics(disk, &env, command)?,
        Command::Config(args) => config::show(disk, &env, args.output)?,
        Command::SystemdUnit(args) => {
            systemd_unit::systemd_unit(disk, &env, cli.config_env_file.as_deref(), args)?;
        }
        Command::Completions(args) => manual::completions(&definition(), args)?,
        Command::Man(args) => manual::man(definition(), args)?,
        Command::Demo(args) => demo::demo(args)?,
        Command::PlayDaemon(args) => play::play(args)?,
    }
    Ok(Exit::Done)
}
