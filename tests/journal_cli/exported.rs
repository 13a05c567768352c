//! What `journal export` gives to other programs.

use serde_json::Value;

use super::written::Told;

const README: &str = include_str!("../../README.md");

#[test]
fn both_formats_tell_the_same_and_have_the_documented_columns() {
    let mut told = Told::upgraded();
    told.tear("s2");
    let json: Value = serde_json::from_str(&told.site.ok(&["journal", "export"])).unwrap();
    assert_eq!((&json["version"], &json["daemon"]), (&Value::from(1), &Value::from("nym-node")));
    assert_eq!(json["notes"].as_array().unwrap().len(), 1);
    let records = json["records"].as_array().unwrap();
    assert_eq!(records.len(), told.records.len());
    assert_eq!(json["head"]["hash"], records.last().unwrap()["hash"]);

    let text = told.site.ok(&["journal", "export", "--output", "csv"]);
    assert!(text.ends_with("\r\n") && text.lines().count() == records.len() + 1, "{text}");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    for (row, record) in reader.records().map(Result::unwrap).zip(records) {
        let members: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert_eq!(members, columns.iter().collect::<Vec<_>>());
        for (cell, value) in row.iter().zip(record.as_object().unwrap().values()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(cell, value);
        }
    }
    for column in columns {
        assert!(README.contains(&format!("`{column}`")), "{column} is not in README");
    }
}

#[test]
fn the_same_options_choose_as_for_show() {
    let told = Told::upgraded();
    let arguments = ["journal", "export", "--phase", "Swapping", "--upgrade", "u1"];
    let json: Value = serde_json::from_str(&told.site.ok(&arguments)).unwrap();
    let events: Vec<&str> = json["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["binary-checked", "swap-committed"]);
    let none = told.site.ok(&["journal", "export", "--since", "1h", "--output", "csv"]);
    assert!(none.starts_with("seq,at,session,") && none.lines().count() == 1, "{none}");
}
