//! What `prune` prints, and its exit status.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{Item, Part};
use crate::exit::Exit;
use crate::host::backup;
use crate::units::human;

/// A part of which something stays that should go is not done.
pub(super) fn exit(parts: &[Part]) -> Exit {
    let hindered = parts.iter().any(|part| part.hindrance.is_some());
    if hindered { Exit::Other } else { Exit::Done }
}

fn freed<'a>(items: impl IntoIterator<Item = &'a Item>) -> u64 {
    items.into_iter().filter(|item| item.goes).map(|item| item.bytes).sum()
}

fn freed_by_all(parts: &[Part]) -> u64 {
    freed(parts.iter().flat_map(|part| &part.items))
}

pub(super) fn to_json(parts: &[Part], dry_run: bool) -> String {
    let item = |item: &Item| {
        json!({
            "name": item.name,
            "path": backup::path_text(&item.path),
            "bytes": item.bytes,
            "goes": item.goes,
            "why": item.why,
            "text": item.text,
        })
    };
    let mut pruned = Map::new();
    pruned.insert("version".to_owned(), json!(1));
    pruned.insert("dry_run".to_owned(), json!(dry_run));
    pruned.insert("exit_status".to_owned(), json!(exit(parts) as u8));
    pruned.insert("freed_bytes".to_owned(), json!(freed_by_all(parts)));
    for part in parts {
        let of_part = json!({
            "retention": part.retention,
            "freed_bytes": freed(&part.items),
            "hindrance": part.hindrance,
            "items": part.items.iter().map(item).collect::<Vec<Value>>(),
        });
        pruned.insert(part.kind.to_owned(), of_part);
    }
    format!("{}\n", Value::Object(pruned))
}

pub(super) fn to_text(parts: &[Part], dry_run: bool) -> String {
    let mut text = String::new();
    let would = if dry_run { "would be " } else { "" };
    for part in parts {
        let goes = part.items.iter().filter(|item| item.goes).count();
        let (kept, bytes) = (part.items.len() - goes, human(freed(&part.items)));
        let by = match &part.retention {
            Some(retention) => format!("{kept} kept, by {} = {retention}", part.key),
            None => format!("{kept} kept: {} is not set", part.key),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {goes} {would}removed, {bytes} {would}freed; {by}", part.kind);
        for item in part.items.iter().filter(|item| item.goes || part.retention.is_some()) {
            let does = match (item.goes, dry_run) {
                (true, true) => "would go",
                (true, false) => "gone",
                (false, _) => "kept",
            };
            let _ = writeln!(text, "  {does}: {} ({})", item.name, item.text);
        }
        if let Some(hindrance) = &part.hindrance {
            let _ = writeln!(text, "  NOT done: {hindrance}");
        }
    }
    let _ = writeln!(text, "{} {would}freed", human(freed_by_all(parts)));
    text
}
