//! `play-daemon`: a small daemon that behaves as it is told. The demo's binaries run it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use serde_json::Map;

use super::demo::Asked;
use super::{Error, build_info, output};
use crate::release::BuildInfo;

/// How often it writes, and looks whether it should end.
const TICK: Duration = Duration::from_millis(10);

/// Who it is, and how it behaves.
#[derive(Debug, Args)]
pub(super) struct PlayArgs {
    /// What it says its name is
    #[arg(long)]
    name: String,
    /// What it says its version is
    #[arg(long)]
    version: String,
    /// Folder of its data
    #[arg(long)]
    home: PathBuf,
    /// Go on when SIGINT comes
    #[arg(long)]
    ignore_interrupt: bool,
    /// End with a failure as soon as it is started
    #[arg(long)]
    crash: bool,
    /// When SIGINT comes, put a plain file in this place
    #[arg(long, value_name = "PATH")]
    leave_file: Option<PathBuf>,
    /// When SIGINT comes, put a folder with something in it in this place
    #[arg(long, value_name = "PATH")]
    leave_folder: Option<PathBuf>,
    /// When SIGINT comes, remove this
    #[arg(long, value_name = "PATH")]
    remove: Option<PathBuf>,
    /// What a daemon is called with: 'build-info' or 'run'
    #[arg(last = true)]
    daemon_args: Vec<OsString>,
}

/// Plays the daemon.
pub(super) fn play(args: &PlayArgs) -> Result<(), Error> {
    let is_asked = |word: &str| args.daemon_args.iter().any(|given| given == word);
    if is_asked("build-info") {
        let info = details(&args.name, &args.version);
        return output::print_build_info(output::Output::Json, &info);
    }
    if !is_asked("run") {
        return Err(Error::Usage("this daemon knows 'build-info' and 'run'".to_owned()));
    }
    if args.crash {
        let text = format!("{} {}: the database can't be opened", args.name, args.version);
        return Err(Error::Unusable(text));
    }
    run(args)
}

/// What a daemon of this name and version says about its build.
pub(super) fn details(name: &str, version: &str) -> BuildInfo {
    BuildInfo {
        binary_name: name.to_owned(),
        build_version: version.to_owned(),
        extra: Map::new(),
        ..build_info::own()
    }
}

fn run(args: &PlayArgs) -> Result<(), Error> {
    let asked = Asked::hear()?;
    output::print(&format!("{} {}: started\n", args.name, args.version))?;
    let path = args.home.join("data/ledger.log");
    let write = || Error::io("write", &path);
    let mut ledger = OpenOptions::new().append(true).create(true).open(&path).map_err(write())?;
    for number in 1_u64.. {
        writeln!(ledger, "{} entry {number}", args.version).map_err(write())?;
        match asked.to_end() {
            Some(Signal::SIGINT) if args.ignore_interrupt => {}
            Some(signal) => {
                output::print(&format!("{} {}: {signal}\n", args.name, args.version))?;
                break;
            }
            None => std::thread::sleep(TICK),
        }
    }
    misbehave(args)
}

/// Does on its way out what a daemon shouldn't.
fn misbehave(args: &PlayArgs) -> Result<(), Error> {
    if let Some(path) = &args.leave_file {
        clear(path)
            .and_then(|()| fs::write(path, "not a folder\n"))
            .map_err(Error::io("write", path))?;
    }
    if let Some(path) = &args.leave_folder {
        fs::create_dir_all(path.join("something")).map_err(Error::io("create", path))?;
    }
    if let Some(path) = &args.remove {
        clear(path).map_err(Error::io("remove", path))?;
    }
    Ok(())
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
