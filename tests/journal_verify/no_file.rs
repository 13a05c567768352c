//! Where a part of the journal should be lies something else.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::Signal;

use super::{CHAIN, SET_ASIDE, expect, journal, upgraded};

#[test]
fn a_folder_and_a_link_are_called_what_they_are() {
    for is_link in [false, true] {
        let (stage, _) = upgraded();
        let path = journal(&stage, "00000001.jsonl");
        let away = stage.site.path("journal-of-old");
        fs::rename(&path, &away).unwrap();
        let lies = if is_link {
            symlink(&away, &path).unwrap();
            format!("it is a link to {}, and should be a file of the journal", away.display())
        } else {
            fs::create_dir(&path).unwrap();
            "it is a folder, and should be a file of the journal".to_owned()
        };
        let fault = format!(
            "FAULT 00000001.jsonl: {lies}; put the file itself back in its place, or the next \
             `nymvisor run` sets it aside"
        );
        let report = expect(&stage, CHAIN, &[&fault]);
        assert!(report["faults"][0]["line"].is_null(), "{report}");
        let shown = stage.site.ok(&["journal", "show"]);
        assert!(shown.contains(&format!("00000001.jsonl: {lies}; unread")), "{shown}");
        let refused = stage.site.run(&["rollback"]);
        assert_eq!(refused.status, 3, "{}", refused.stderr);
        assert!(refused.stderr.contains("nymvisor journal verify"), "{}", refused.stderr);

        let mut run = stage.start(&["run"]);
        stage.until_log("started 1.1.0", 2);
        let said = run.stop(Signal::SIGINT).stderr;
        let told = format!("its last part was no file: {lies}; what lay there is kept as 0000");
        assert!(said.contains(&told) && !said.contains("sha256"), "{said}");
        let report = expect(&stage, SET_ASIDE, &[&told]);
        assert_eq!(report["faults"].as_array().unwrap().len(), 1, "{report}");
        assert!(away.is_file(), "what a link leads to is left alone");
    }
}

#[test]
fn one_before_the_last_has_to_be_put_back() {
    let (stage, _) = upgraded();
    super::forge::Forged::read(&journal(&stage, "")).split(&[10]).write();
    let path = journal(&stage, "00000001.jsonl");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let report = expect(&stage, CHAIN, &["put the file itself back in its place\n"]);
    assert!(!report.to_string().contains("nymvisor run"), "{report}");
}
