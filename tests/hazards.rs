//! What goes wrong in tools of this kind, and the tests that it doesn't here.
//!
//! A test that covers a hazard has its number in its name: `h39_links_are_kept_as_links`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each was found in a released tool that does this job.
const HAZARDS: [(u32, &str); 50] = [
    (
        1,
        "The supervisor exits 0 whatever happened, under a unit with Restart=on-failure: \
         the node stays down.",
    ),
    (
        2,
        "A daemon that exits non-zero or dies by a signal counts as \"a short command \
         that ended\": never restarted.",
    ),
    (
        3,
        "Failures are counted around run + backup + upgrade, so a slow backup resets the \
         count and the loop never ends.",
    ),
    (4, "The daemon ends by itself at the upgrade time, and the upgrade is skipped."),
    (5, "Only the direct child is signalled; its helpers keep ports and locks."),
    (6, "The supervisor is killed and its daemon lives on; the next start makes two."),
    (
        7,
        "A terminal's Ctrl-C reaches the daemon twice: from the group and from the \
         supervisor. Daemons take the second as \"abort now\".",
    ),
    (8, "Signals during a restart delay, a backup or a download are swallowed."),
    (9, "A panic kills the daemon with no grace."),
    (
        10,
        "run --flag is a usage error; run --help shows the wrong help; arguments that \
         aren't UTF-8 are refused.",
    ),
    (11, "A daemon whose build-info command hangs blocks everything."),
    (
        12,
        "The daemon is stopped first, and only then it turns out that the download is \
         impossible.",
    ),
    (
        13,
        "A failed upgrade stays first in the queue: start, interrupt, full backup, fail, \
         for ever, until the disk is full.",
    ),
    (
        14,
        "Files are truncated and rewritten in place; a crash or a full disk leaves half \
         of one, or none.",
    ),
    (
        15,
        "The link is removed, then made: a crash in between leaves no current, and \
         nothing makes it again.",
    ),
    (16, "Files are written in an order that leaves a start refusing itself after a crash."),
    (
        17,
        "The plan is read before the lock and written back after the download: an upgrade \
         added meanwhile is lost.",
    ),
    (18, "The first in the queue is performed without another look at its time."),
    (19, "A binary that lies ready is used with no check of its digest."),
    (20, "After a re-run of init an upgraded installation claims to be genesis and doesn't start."),
    (
        21,
        "Two instances of one daemon share the data folder, and after the first upgrades \
         the second refuses to start.",
    ),
    (22, "No timeout: a silent server means a node that is down for ever."),
    (23, "A 404 page is saved as the binary."),
    (24, "No limit on size: the disk fills; upgrade-info.json is read into memory whole."),
    (25, "Redirects from https to http are followed."),
    (
        26,
        "name from the network is joined into paths: .., /abs, \"\", genesis, current, \
         NUL, a newline, 5,000 characters.",
    ),
    (27, "Any other version is an upgrade, older ones too."),
    (28, "Another daemon's binary (right version, wrong name) is accepted."),
    (29, "Upstream can't correct or withdraw what it announced."),
    (30, "The last buffered write fails and nobody looks."),
    (31, "Two changes of the plan within the debounce time: the second is never seen."),
    (32, "The watch is on the inode: after a rename-over it is blind."),
    (33, "The plan becomes empty or unreadable, and the old timer still fires."),
    (34, "A polling rate of 0 panics a task; a dead task goes unnoticed."),
    (35, "All nodes poll, and upgrade, at the same instant."),
    (36, "The clock is set forward or back, or the machine sleeps: one long timer doesn't notice."),
    (37, "Archives with private keys are world-readable."),
    (38, "A backup folder inside the home is archived into itself."),
    (
        39,
        "Links are followed; a dangling one, a socket or a FIFO aborts the backup; hard \
         links and sparse files explode.",
    ),
    (
        40,
        "The compressor is finished in a destructor that ignores errors; nothing is \
         synced or read back.",
    ),
    (41, "No look at free space; no retention; no way to restore."),
    (42, "A file grows, shrinks or vanishes while it is read."),
    (
        43,
        "A file that is written through a shared mapping changes with no new modification \
         time if its pages were already dirty: sync it before it is read, or treat it as \
         changed.",
    ),
    (44, "Two changes within one tick of the file system's clock look like none."),
    (45, "--add-binary fails for what the poller announced; --force can't replace what is queued."),
    (46, "The plan is published before its binary is copied."),
    (47, "The mode bits of the operator's own file are changed."),
    (48, "Saved configuration is HTML-escaped: &, ' and = come back as something else."),
    (49, "Relative paths are stored as given and depend on the next working directory."),
    (50, "An empty variable counts as set: backups go to the working directory."),
];

/// The numbers in a function's name: of `h12_h41_no_room` 12 and 41.
fn numbers(name: &str) -> impl Iterator<Item = u32> {
    name.split('_').filter_map(|word| {
        let digits = word.strip_prefix('h').filter(|digits| digits.len() == 2)?;
        digits.parse().ok()
    })
}

/// The name of the function that a line begins, if it is a test: marked as one on a line before.
fn tests(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_marked = false;
    for line in text.lines().map(str::trim) {
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_marked = true;
        } else if let Some(name) = name {
            let name = name.split('(').next().unwrap();
            found.extend(is_marked.then_some(name));
            is_marked = false;
        }
    }
    found
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// For each hazard the tests that are named for it, as `file::name`.
fn covered() -> BTreeMap<u32, BTreeSet<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut covered: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for path in rust_files(&folder) {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(&folder).unwrap().with_extension("");
        for name in tests(&text) {
            for number in numbers(name) {
                let test = format!("{}::{name}", file.display());
                covered.entry(number).or_default().insert(test);
            }
        }
    }
    covered
}

#[test]
fn every_hazard_has_a_test() {
    let covered = covered();
    for (number, title) in HAZARDS {
        eprintln!("{number:>2}. {title}");
        for test in covered.get(&number).into_iter().flatten() {
            eprintln!("      {test}");
        }
    }
    for (number, title) in HAZARDS {
        assert!(covered.contains_key(&number), "no test for hazard {number}: {title}");
    }
    let strange: Vec<_> = covered.keys().filter(|number| !(1..=50).contains(*number)).collect();
    assert!(strange.is_empty(), "tests for hazards that there are not: {strange:?}");
}

#[test]
fn hazards_are_numbered_in_order() {
    assert!(HAZARDS.iter().map(|(number, _)| *number).eq(1..=50));
}

#[test]
fn a_name_tells_its_hazards_and_only_a_test_counts() {
    let found: Vec<u32> = numbers("h12_h41_no_room_for_h1_and_h123").collect();
    assert_eq!(found, [12, 41]);
    let text = "#[test]\nfn h01_a() {\n}\nfn h02_b() {\n#[tokio::test(start_paused = true)]\n\
                async fn h03_c() {";
    assert_eq!(tests(text), ["h01_a", "h03_c"]);
}
