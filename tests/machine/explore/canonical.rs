//! One form for all engines that differ in nothing but the numbers they have drawn.
//!
//! Attempts, processes, files and archives are numbered as they come. Here they are numbered anew,
//! in the same order, from 1, and what nothing refers to any more is left out: so the space of
//! states is finite.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::engine::Engine;

/// New numbers for old ones, by kind.
#[derive(Default)]
struct Numbers {
    attempts: BTreeMap<u64, u64>,
    serials: BTreeMap<u64, u64>,
    archives: BTreeSet<String>,
}

/// The engine as text; equal for engines that decide alike.
pub(super) fn text(mut engine: Engine) -> String {
    engine.forget();
    let mut value = serde_json::to_value(&engine).unwrap();
    for dropped in ["records", "states", "first"] {
        value[dropped] = json!([]);
    }
    let backups = value["world"]["files"]["backups"].take();
    let mut oracles = vec![value["oracle"].take()];
    if !value["durable"].is_null() {
        oracles.push(value["durable"]["oracle"].take());
    }
    let mut numbers = Numbers::default();
    numbers.collect(&value);
    for oracle in &oracles {
        numbers.collect_backed(oracle, &backups);
    }
    keep_backups(&mut value["world"]["files"], backups, &numbers);
    numbers.count();
    numbers.rename(&mut value);
    for oracle in &mut oracles {
        numbers.prune(oracle);
        numbers.rename(oracle);
    }
    value["world"]["serial"] = json!(numbers.serials.len());
    if oracles.len() == 2 {
        value["durable"]["oracle"] = oracles.pop().unwrap();
    }
    value["oracle"] = oracles.pop().unwrap();
    value.to_string()
}

/// The engine that a text stands for.
pub(super) fn engine(text: &str) -> Engine {
    let mut value: Value = serde_json::from_str(text).unwrap();
    value["first"] = value["state"].clone();
    let mut engine: Engine = serde_json::from_value(value).unwrap();
    engine.forget();
    engine
}

/// Archives that something refers to; what was in the home at their times is numbered from 1.
fn keep_backups(files: &mut Value, backups: Value, numbers: &Numbers) {
    let Value::Array(mut kept) = backups else { panic!("no list of backups") };
    kept.retain(|backup| numbers.archives.contains(backup[0]["path"].as_str().unwrap()));
    let generation = |value: &Value| value.as_u64().unwrap();
    let mut homes = BTreeSet::from([generation(&files["home"])]);
    homes.extend(kept.iter().map(|backup| generation(&backup[1])));
    let rank = |value: &Value| json!(homes.range(..=generation(value)).count());
    for backup in &mut kept {
        backup[1] = rank(&backup[1]);
    }
    files["home"] = rank(&files["home"]);
    files["homes"] = json!(homes.len());
    files["backups"] = Value::Array(kept);
}

/// The number at the end of a name such as `file 7` or `backup-7.tar.zst`.
fn serial(text: &str) -> Option<(&str, u64, &str)> {
    let (before, rest) = ["file ", "backup-", "sha-"]
        .iter()
        .find_map(|before| text.strip_prefix(before).map(|rest| (*before, rest)))?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    Some((before, digits.parse().ok()?, after))
}

fn is_attempt(key: &str) -> bool {
    matches!(key, "attempt" | "id")
}

impl Numbers {
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(members) => self.collect_members(members),
            Value::Array(all) => all.iter().for_each(|value| self.collect(value)),
            Value::String(text) => {
                if let Some((before, number, _)) = serial(text) {
                    self.serials.insert(number, 0);
                    if before == "backup-" {
                        self.archives.insert(text.clone());
                    }
                }
            }
            _ => {}
        }
    }

    fn collect_members(&mut self, members: &Map<String, Value>) {
        for (key, value) in members {
            match (key.as_str(), value.as_u64()) {
                (key, Some(number)) if is_attempt(key) => drop(self.attempts.insert(number, 0)),
                ("pid", Some(number)) => drop(self.serials.insert(number - 1000, 0)),
                ("due", None) if value.is_array() => {
                    self.attempts.insert(value[0].as_u64().unwrap(), 0);
                }
                _ => self.collect(value),
            }
        }
    }

    /// An archive that an oracle holds to be of no use counts as long as it is there.
    fn collect_backed(&mut self, oracle: &Value, backups: &Value) {
        for (attempt, archive) in oracle["backed"].as_object().unwrap() {
            let is_there = backups.as_array().unwrap().iter().any(|backup| backup[0] == *archive);
            let attempt: u64 = attempt.parse().unwrap();
            if is_there || self.attempts.contains_key(&attempt) {
                self.attempts.insert(attempt, 0);
                self.collect(archive);
            }
        }
    }

    fn count(&mut self) {
        for numbers in [&mut self.attempts, &mut self.serials] {
            (1..).zip(numbers.values_mut()).for_each(|(new, number)| *number = new);
        }
    }

    fn rename(&self, value: &mut Value) {
        match value {
            Value::Object(members) => self.rename_members(members),
            Value::Array(all) => all.iter_mut().for_each(|value| self.rename(value)),
            Value::String(text) => {
                if let Some((before, number, after)) = serial(text) {
                    *text = format!("{before}{}{after}", self.serials[&number]);
                }
            }
            _ => {}
        }
    }

    fn rename_members(&self, members: &mut Map<String, Value>) {
        for (key, value) in members {
            match (key.as_str(), value.as_u64()) {
                (key, Some(number)) if is_attempt(key) => *value = json!(self.attempts[&number]),
                ("last_attempt", _) => *value = json!(self.attempts.len()),
                ("pid", Some(number)) => *value = json!(1000 + self.serials[&(number - 1000)]),
                ("started_ticks", Some(ticks)) => {
                    let pid = ticks / 10;
                    *value = json!((1000 + self.serials[&(pid - 1000)]) * 10);
                }
                ("due", None) if value.is_array() => {
                    value[0] = json!(self.attempts[&value[0].as_u64().unwrap()]);
                }
                _ => self.rename(value),
            }
        }
    }

    /// Leaves in an oracle what can still be asked about.
    fn prune(&self, oracle: &mut Value) {
        for set in ["checked", "locked", "roomy", "settled_data"] {
            let Value::Array(known) = &mut oracle[set] else { panic!("{set} is no list") };
            known.retain(|id| self.attempts.contains_key(&id.as_u64().unwrap()));
            for id in known {
                *id = json!(self.attempts[&id.as_u64().unwrap()]);
            }
        }
        for map in ["upgrades", "backed"] {
            let Value::Object(known) = oracle[map].take() else { panic!("{map} is no map") };
            let kept = known.into_iter().filter_map(|(id, value)| {
                let id = self.attempts.get(&id.parse().unwrap())?;
                Some((id.to_string(), value))
            });
            oracle[map] = Value::Object(kept.collect());
        }
    }
}
