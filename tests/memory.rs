//! What is given back to the system, and that nothing is lost by it.

use std::fs;

use nix::sys::signal::Signal;
use nymvisor::host::memory::{give_back, untouched};

use crate::support::run::Stage;

/// A mapping as `/proc/<pid>/smaps` tells of it.
fn told(header: &str, anonymous_kib: usize, swapped_kib: usize) -> String {
    format!(
        "{header}\nSize:                 64 kB\nRss:                  64 kB\n\
         Private_Clean:        64 kB\nAnonymous:        {anonymous_kib:>6} kB\n\
         AnonHugePages:         0 kB\nSwap:             {swapped_kib:>6} kB\nSwapPss: 0 kB\n\
         THPeligible:    0\nVmFlags: rd ex mr mw me\n"
    )
}

#[test]
fn what_is_as_in_its_file_can_be_given_back() {
    let code = told("1000-2000 r-xp 00001000 fe:00 4712  /usr/bin/nymvisor", 0, 0);
    let tables = told("2000-2800 r--p 00000000 fe:00 4712  /a folder/b (deleted)", 0, 0);
    assert_eq!(untouched(&(code + &tables)), vec![0x1000..0x2000, 0x2000..0x2800]);
}

#[test]
fn what_was_written_to_or_has_no_file_is_kept() {
    for (header, anonymous_kib, swapped_kib) in [
        ("1000-2000 r--p 00000000 fe:00 4712  /usr/bin/nymvisor", 4, 0),
        ("1000-2000 r--p 00000000 fe:00 4712  /usr/bin/nymvisor", 0, 4),
        ("1000-2000 rw-p 00000000 fe:00 4712  /usr/bin/nymvisor", 0, 0),
        ("1000-2000 r--s 00000000 fe:00 4712  /usr/bin/nymvisor", 0, 0),
        ("1000-2000 r-xp 00000000 00:00 0     [vdso]", 0, 0),
        ("1000-2000 r--p 00000000 00:00 0", 0, 0),
        ("no mapping of any kind", 0, 0),
    ] {
        let text = told(header, anonymous_kib, swapped_kib);
        assert!(untouched(&text).is_empty(), "{text}");
    }
    let cut_short = told("1000-2000 r-xp 00001000 fe:00 4712  /usr/bin/nymvisor", 0, 0);
    for end in 0..cut_short.find("Swap:").unwrap() {
        assert!(untouched(&cut_short[..end]).is_empty(), "{}", &cut_short[..end]);
    }
}

#[test]
fn the_process_goes_on_with_less() {
    let before = file_kib("self");
    give_back();
    let after = file_kib("self");
    assert!(after < before, "{after} KiB of {before} KiB are still there");
    // Through relocated tables, formatting and the heap.
    let told: Box<dyn Fn(u64) -> String> = Box::new(|number| format!("{number:?}"));
    assert_eq!(told(after).parse::<u64>(), Ok(after));
}

#[test]
fn a_quiet_run_gives_its_memory_back() {
    let stage = Stage::new().with("NYMVISOR_UPSTREAM_POLLING_RATE", "1h");
    stage.install_script("exec sleep 1000");
    let mut run = stage.start(&["run"]);
    stage.until_event("daemon-spawned", 1);
    let pid = run.pid().to_string();
    let highest = file_kib(&pid);
    stage.until("less memory", || (file_kib(&pid) < highest / 2).then_some(()));
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
}

/// KiB of files that are mapped and in memory.
fn file_kib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
