//! `completions` and `man`: what is made from the definition of the command line.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Error, output};

/// Which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell that reads it
    #[arg(value_enum)]
    shell: Shell,
}

/// Where to.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for each command into this folder instead of printing that of nymvisor
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(command: &Command, args: &CompletionsArgs) -> Result<(), Error> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut shown(command), "nymvisor", &mut text);
    output::print(&String::from_utf8_lossy(&text))
}

pub(super) fn man(command: Command, args: &ManArgs) -> Result<(), Error> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.dir else {
        let page = page(&command).map_err(Error::Stdout)?;
        return output::print(&String::from_utf8_lossy(&page));
    };
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    write_pages(&command, folder)
}

/// A page for the command and for each below it: `nymvisor-journal-show.1`.
fn write_pages(command: &Command, folder: &Path) -> Result<(), Error> {
    let path = folder.join(format!("{}.1", name_of(command)));
    page(command)
        .and_then(|page| std::fs::write(&path, page))
        .map_err(Error::io("write", &path))?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    below.into_iter().try_for_each(|below| write_pages(below, folder))
}

fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        .source(concat!("nymvisor ", env!("CARGO_PKG_VERSION")))
        .manual("nymvisor");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string();
        let lines = examples.lines().skip(1).map(str::trim_start);
        let mut section = Roff::new();
        section.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in lines {
            section.text([roman(line)]);
        }
        section.control("fi", []).to_writer(&mut page)?;
    }
    Ok(page)
}

/// The definition without the commands that are nobody's to type.
fn shown(command: &Command) -> Command {
    let commands = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned();
    Command::new("nymvisor")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(commands)
}
