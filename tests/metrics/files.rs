//! README's table, the alert rules and the dashboard name what is really told, and tools read them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use nymvisor::machine::Code;
use serde_json::{Value, json};

use super::{Scrape, place, until, watched};
use crate::support::site::Site;
use crate::support::tools::is_missing;

const README: &str = include_str!("../../README.md");

/// A metric as it is told: its type and the names of its labels.
type Shapes = BTreeMap<String, (String, BTreeSet<String>)>;

/// A scrape in which every metric has a value: after an upgrade, with another one queued and held.
fn whole() -> Scrape {
    let stage = watched();
    let mut run = stage.start(&["run"]);
    let place = place(&stage, &run);
    stage.announce("1.1.0");
    until(&stage, place, "daemon_restarts_total{why=\"upgraded\"}", 1.0);
    let mut far = stage.announcement("1.2.0");
    far["upgradeTime"] = json!("2099-01-01T00:00:00Z");
    stage.publish(&far);
    until(&stage, place, "next_upgrade_ready", 1.0);
    stage.site.ok(&["upgrades", "hold", "--until", "1h"]);
    let scrape = until(&stage, place, "upgrades_kept_back{by=\"hold\"}", 1.0);
    assert_eq!(run.stop(Signal::SIGINT).status, Some(0));
    scrape
}

fn told(scrape: &Scrape) -> Shapes {
    let types: BTreeMap<&str, &str> = scrape
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let mut shapes = Shapes::new();
    for series in scrape.values.keys() {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let family = name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name);
        let kind = types.get(family).unwrap_or_else(|| panic!("{name} has no type"));
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.split('=').next().unwrap().to_owned());
        let shape = (String::from(*kind), labels.collect());
        let known = shapes.entry(name.to_owned()).or_insert_with(|| shape.clone());
        assert_eq!(*known, shape, "{series}");
    }
    assert_eq!(types.len(), shapes.len(), "some metric has no value:\n{}", scrape.text);
    shapes
}

fn documented() -> Shapes {
    let rows = README.lines().filter(|line| line.starts_with("| nymvisor_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = cells[3].split(", ").filter(|label| !label.is_empty());
        (cells[1].to_owned(), (cells[2].to_owned(), labels.map(str::to_owned).collect()))
    })
    .collect()
}

/// Every name that begins as ours do.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("nymvisor_")).map(str::to_owned).collect()
}

/// Words that labels are compared with.
fn label_values(text: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let comparisons = ["=~\"", "!~\"", "=\""].map(|sign| text.match_indices(sign));
    for (at, _) in comparisons.into_iter().flatten() {
        let name = text[..at].rsplit(|c: char| !c.is_alphanumeric()).next();
        let value = text[at..].split('"').nth(1).unwrap();
        let values = value.split('|').map(|value| (name.unwrap().to_owned(), value.to_owned()));
        found.extend(values);
    }
    found.into_iter().filter(|(name, _)| name != "instance" && name != "job").collect()
}

#[test]
fn everything_that_is_told_is_documented_and_what_is_asked_for_is_told() {
    let scrape = whole();
    let told = told(&scrape);
    assert_eq!(told, documented(), "README's table");
    let site = Site::new();
    let alerts = site.ok(&["metrics", "alerts"]);
    let dashboard = site.ok(&["metrics", "dashboard"]);
    assert!(names(&alerts).len() > 8 && names(&dashboard).len() > 15);
    for name in names(&alerts).union(&names(&dashboard)) {
        assert!(told.contains_key(name), "{name} is not told");
    }
    // Labels too, with the values that they are compared with.
    let series: String = scrape.values.keys().cloned().collect::<Vec<_>>().join("\n");
    let has = |name: &str, value: &str| series.contains(&format!("{name}=\"{value}\""));
    let asked = label_values(&alerts);
    assert!(asked.len() > 4, "{asked:?}");
    for (name, value) in asked {
        assert!(has(&name, &value), "no {name} is {value:?}");
    }
    // What README calls a code, a phase and so on is one.
    for need in ["journal", "plan", "quarantined", "awaits-binary", "fails-again"] {
        assert!(has("need", need) && README.contains(&format!("`{need}`")), "{need}");
    }
    let codes = scrape.values.keys().filter(|series| series.contains("_failures_total{"));
    assert_eq!(codes.count(), Code::ALL.len(), "one for each code that there is");
}

#[test]
fn the_dashboard_is_one() {
    let dashboard: Value =
        serde_json::from_str(&Site::new().ok(&["metrics", "dashboard"])).unwrap();
    assert_eq!(dashboard["title"], "nymvisor");
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 15);
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
        for target in panel["targets"].as_array().unwrap() {
            let asked = target["expr"].as_str().unwrap();
            assert!(asked.contains("{instance=~\"$instance\""), "{asked}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{asked}");
        }
    }
}

#[test]
fn the_alert_rules_are_yaml() {
    let site = Site::new();
    let path = site.path("rules.yml");
    fs::write(&path, site.ok(&["metrics", "alerts"])).unwrap();
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let output = Command::new("python3").args(["-c", script]).arg(&path).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return eprintln!("skipped: there is no Python 3 with its module yaml");
    };
    let rules: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 8);
    for rule in rules {
        assert!(rule["alert"].as_str().unwrap().starts_with("Nymvisor"), "{rule}");
        assert!(!rule["expr"].as_str().unwrap().is_empty(), "{rule}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["warning", "critical"].contains(&severity), "{rule}");
        assert!(rule["annotations"]["summary"].is_string(), "{rule}");
    }
}

/// What the dashboard asks for, as rules, so that Prometheus looks at it.
fn asked(dashboard: &Value) -> Value {
    let targets = dashboard["panels"].as_array().unwrap().iter();
    let targets = targets.flat_map(|panel| panel["targets"].as_array().unwrap());
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let all = targets.chain(annotations).zip(1..).map(|(asked, number)| {
        let filled = [("$__rate_interval", "5m"), ("$__range", "1h"), ("$__interval", "1m")];
        let text = asked["expr"].as_str().unwrap().to_owned();
        let text = filled.iter().fold(text, |text, (from, to)| text.replace(from, to));
        json!({"record": format!("asked:{number}"), "expr": text})
    });
    json!({"groups": [{"name": "asked", "rules": all.collect::<Vec<_>>()}]})
}

/// What Prometheus itself thinks of them, and when they fire.
#[test]
fn the_alerts_fire_when_they_should() {
    if is_missing("promtool") {
        return;
    }
    let site = Site::new();
    fs::write(site.path("rules.yml"), site.ok(&["metrics", "alerts"])).unwrap();
    fs::write(site.path("tests.yml"), include_str!("alerts_test.yml")).unwrap();
    let dashboard: Value = serde_json::from_str(&site.ok(&["metrics", "dashboard"])).unwrap();
    fs::write(site.path("asked.yml"), asked(&dashboard).to_string()).unwrap();
    let checks = [
        ["check", "rules", "rules.yml"],
        ["check", "rules", "asked.yml"],
        ["test", "rules", "tests.yml"],
    ];
    for arguments in checks {
        let output =
            Command::new("promtool").args(arguments).current_dir(site.path("")).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}
