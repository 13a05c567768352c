//! Completions, manual pages, examples and colours.

use std::fs;
use std::process::Command;

use clap::Command as Definition;

use crate::support::site::Site;

/// Calls `look` with each command that may be typed, and its words.
fn each(command: &Definition, words: &[String], look: &mut impl FnMut(&Definition, &[String])) {
    look(command, words);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let words = [words, &[below.get_name().to_owned()]].concat();
        each(below, &words, look);
    }
}

#[test]
fn shells_accept_the_completions() {
    let site = Site::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = site.ok(&["completions", shell]);
        each(&nymvisor::cli::definition(), &[], &mut |_, words| {
            let all = words.iter().all(|word| script.contains(word.as_str()));
            assert!(all, "{shell}: {words:?}");
        });
        assert!(!script.contains("play-daemon"), "{shell}");
        let path = site.path(shell);
        fs::write(&path, script).unwrap();
        if !["bash", "zsh", "fish"].contains(&shell) {
            continue;
        }
        match Command::new(shell).arg("-n").arg(&path).output() {
            Ok(checked) => assert!(
                checked.status.success() && checked.stderr.is_empty(),
                "{shell}: {}",
                String::from_utf8_lossy(&checked.stderr)
            ),
            Err(_) => eprintln!("skipped: there is no {shell}"),
        }
    }
    assert_eq!(site.run(&["completions", "cmd.exe"]).status, 2);
}

/// What bash would offer behind these words.
#[test]
fn bash_offers_what_there_is() {
    let site = Site::new();
    fs::write(site.path("nymvisor.bash"), site.ok(&["completions", "bash"])).unwrap();
    let offered = |words: &str| {
        let script = format!(
            ". ./nymvisor.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _nymvisor nymvisor \"${{COMP_WORDS[COMP_CWORD]}}\" \
             \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let mut bash = Command::new("bash");
        let output = bash.args(["--norc", "-c", &script]).current_dir(site.path("")).output();
        output.ok().map(|output| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let Some(first) = offered("nymvisor jou") else {
        return eprintln!("skipped: there is no bash");
    };
    assert_eq!(first, "journal");
    assert_eq!(offered("nymvisor journal ver").unwrap(), "verify");
    assert_eq!(offered("nymvisor journal show --out").unwrap(), "--output");
}

#[test]
fn man_accepts_the_pages_and_there_is_one_a_command() {
    let site = Site::new();
    let folder = site.path("man/man1");
    site.ok(&["man", "--dir", folder.to_str().unwrap()]);
    let mut pages = 0;
    each(&nymvisor::cli::definition(), &["nymvisor".to_owned()], &mut |command, words| {
        let path = folder.join(format!("{}.1", words.join("-")));
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
        assert_eq!(page.contains(".SH EXAMPLES"), command.get_after_help().is_some(), "{words:?}");
        pages += 1;
    });
    assert_eq!(fs::read_dir(&folder).unwrap().count(), pages, "and no other");
    let own = fs::read_to_string(folder.join("nymvisor.1")).unwrap();
    assert_eq!(site.ok(&["man"]), own);
    assert!(!own.contains("play-daemon") && own.contains("nymvisor\\-journal(1)"), "{own}");
    for page in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-Tutf8", "-l"]).arg(&page);
        let Ok(formatted) = man.env("MANWIDTH", "80").output() else {
            return eprintln!("skipped: there is no man");
        };
        let said = String::from_utf8_lossy(&formatted.stderr);
        assert!(formatted.status.success() && said.is_empty(), "{}: {said}", page.display());
    }
}

/// Each line of an example, as the shell hands it to us.
#[test]
fn every_example_can_be_typed() {
    let mut seen = 0;
    each(&nymvisor::cli::definition(), &[], &mut |command, words| {
        let Some(examples) = command.get_after_help().map(ToString::to_string) else { return };
        assert!(examples.starts_with("Examples:\n"), "{examples}");
        for line in examples.lines().skip(1) {
            assert!(line.chars().count() <= 80, "{line}");
            let typed = line.split(['|', '>', '#']).next().unwrap();
            let typed: Vec<_> = typed.split_whitespace().map(Into::into).collect();
            let is_named = words.first().is_none_or(|first| line.contains(first.as_str()));
            assert!(is_named, "{words:?}: {line}");
            let (ours, _) = nymvisor::cli::split(typed);
            let read = nymvisor::cli::definition().try_get_matches_from(ours);
            assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
            seen += 1;
        }
    });
    assert!(seen > 20, "{seen}");
}

/// What a command says on a terminal, with this variable set.
fn on_a_terminal(site: &Site, arguments: &str, variable: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_nymvisor");
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{program} {arguments}"), "/dev/null"]).env_clear();
    command.env("HOME", site.path("")).env("PATH", std::env::var_os("PATH")?);
    command.envs([("TERM", "xterm"), ("SHELL", "/bin/sh"), ("FAKE_EXIT_AT_START", "0")]);
    let (name, value) = variable.split_once('=')?;
    command.env(name, value);
    Some(String::from_utf8_lossy(&command.output().ok()?.stdout).into_owned())
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let site = Site::new().initialised();
    // The daemon ends at once, in order.
    let run = format!("run run --home '{}'", site.home("").display());
    let is_coloured = |arguments: &str, variable: &str| {
        let said = on_a_terminal(&site, arguments, variable)?;
        assert!(!said.is_empty());
        Some(said.contains('\x1b'))
    };
    let Some(coloured) = is_coloured("--help", "X=") else {
        return eprintln!("skipped: there is no script(1)");
    };
    assert!(coloured && is_coloured(&run, "X=") == Some(true));
    for variable in ["NO_COLOR=1", "TERM=dumb"] {
        assert_eq!(is_coloured("--help", variable), Some(false), "{variable}");
        assert_eq!(is_coloured(&run, variable), Some(false), "{variable}");
    }
    assert!(!site.ok(&["--help"]).contains('\x1b'), "in a pipe");
    assert!(!site.run(&["nonsense"]).stderr.contains('\x1b'), "in a pipe");
}
