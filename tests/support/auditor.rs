//! What an auditor does by hand: the shell scripts of state-machine.md, as they stand there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// First lines of the scripts.
const WHOLE: &str = "# Put all whole lines together.";
pub(crate) const READ: &str = "# Read it.";
pub(crate) const CHAIN: &str = "# Check the chain.";
pub(crate) const NUMBERS: &str = "# Check the numbers.";
pub(crate) const STEPS: &str = "# Check every step";
pub(crate) const PRUNED: &str = "# Check what was pruned.";
pub(crate) const HEAD: &str = "# Look for a head";

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("state-machine.md")
}

fn script(first_line: &str) -> String {
    let text = fs::read_to_string(document()).unwrap();
    let mut blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.find(|block| block.starts_with(first_line)).unwrap().to_owned()
}

/// Runs one of them in a journal's folder, after the one that comes before all others; whether it
/// was content, and all that it said.
pub(crate) fn run(first_line: &str, folder: &Path, head: &str) -> (bool, String) {
    let output = Command::new("sh")
        .args(["-c", &(script(WHOLE) + &script(first_line))])
        .current_dir(folder)
        .env("doc", document())
        .env("head", head)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}
