//! The operator's commands, and where a new version's health is asked for.

use std::fs;

use super::{NOTHING, check_file};
use crate::support::run::Stage;

#[test]
fn a_command_that_can_not_be_executed_stands_in_the_way() {
    let mut stage = Stage::new();
    let announced = stage.announcement("1.1.0");
    assert_eq!(check_file(&stage, &announced, &NOTHING).about("command"), []);
    let plain = stage.site.path("plain.txt");
    fs::write(&plain, "no program").unwrap();
    let plain = plain.to_str().unwrap();
    let cases = [
        ("/bin/sh -c 'exit 0'", "can be executed", "ok"),
        ("/no/such/file", "No such file", "fail"),
        (plain, "ermission denied", "fail"),
        ("/tmp", "no file", "fail"),
    ];
    for (value, word, expected) in cases {
        stage.set("DAEMON_PRE_UPGRADE_COMMAND", value);
        let said = check_file(&stage, &announced, &NOTHING);
        let [(verdict, text)] = &said.about("command")[..] else { panic!("{:#}", said.json) };
        assert_eq!(verdict, expected, "{text}");
        assert!(text.contains(word) && text.contains("daemon.pre_upgrade_command"), "{text}");
        assert_eq!(said.status, i32::from(expected == "fail"));
    }
    // What is only told of something stops nothing.
    stage.set("DAEMON_PRE_UPGRADE_COMMAND", "");
    stage.set("DAEMON_ON_FAILURE_COMMAND", "/no/such/file");
    stage.set("DAEMON_HEALTH_CHECK_URL", "http://node.example/health");
    let said = check_file(&stage, &announced, &NOTHING);
    assert_eq!(said.about("command")[0].0, "warn");
    assert_eq!(said.about("health")[0].0, "warn");
    said.assert_ok();
}
