//! config.toml.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use toml_edit::{Document, Item, TableLike, Value};

use super::keys::{self, Key, Kind};
use super::{Config, Error, template, values};
use crate::disk::{self, Disk};

/// URLs in it may hold credentials.
const FILE_MODE: u32 = 0o600;

/// What is wrong, and at which byte of the file.
struct Problem {
    offset: usize,
    text: String,
}

/// Reads a file over the defaults; `None` where there is no such file.
pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Config>, Error> {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::unreadable(path, error)),
    };
    let at = |text: &[u8], problem: Problem| {
        let (line, column) = position(text, problem.offset);
        Error::File { path: path.to_owned(), line, column, problem: problem.text }
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let offset = error.valid_up_to();
        at(&bytes, Problem { offset, text: "this is no UTF-8".to_owned() })
    })?;
    parse(text).map(Some).map_err(|problem| at(&bytes, problem))
}

/// Replaces the file at once, durably, readable by its owner alone.
pub fn write(disk: &dyn Disk, path: &Path, config: &Config) -> Result<(), Error> {
    let text = template::render(config);
    disk::replace(disk, path, text.as_bytes(), FILE_MODE).map_err(|e| Error::unwritable(path, e))
}

/// Line and column, from 1, of a byte; the column counts characters.
fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.split(|b| *b == b'\n').count();
    let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    (line, String::from_utf8_lossy(last).chars().count() + 1)
}

fn parse(text: &str) -> Result<Config, Problem> {
    let document = Document::parse(text).map_err(|error| Problem {
        offset: error.span().map_or(0, |span| span.start),
        text: error.message().trim().replace('\n', "; "),
    })?;
    let mut config = Config::draft();
    for (table, item) in document.iter() {
        let offset = offset_of(document.as_table(), table);
        if !matches!(table, "nymvisor" | "daemon") {
            return Err(unknown(table, table, ["nymvisor", "daemon"].into_iter(), offset));
        }
        let Some(entries) = item.as_table_like() else {
            let text = format!("'{table}' is a table of keys, not a value");
            return Err(Problem { offset, text });
        };
        for (name, item) in entries.iter() {
            let offset = offset_of(entries, name);
            let full = format!("{table}.{name}");
            let Some(key) = keys::find(&full) else {
                let known = keys::all().filter(|k| k.table == table).map(|k| k.name);
                return Err(unknown(&full, name, known, offset));
            };
            set(&mut config, key, item, offset)?;
        }
    }
    Ok(config)
}

fn offset_of(table: &dyn TableLike, key: &str) -> usize {
    let key_span = table.get_key_value(key).and_then(|(key, _)| key.span());
    let span = key_span.or_else(|| table.get(key).and_then(Item::span));
    span.map_or(0, |span| span.start)
}

fn unknown<'a>(
    shown: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
    offset: usize,
) -> Problem {
    let nearest = known.min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let text = format!("unknown key '{shown}'; did you mean '{}'?", nearest.unwrap_or_default());
    Problem { offset, text }
}

fn set(config: &mut Config, key: &Key, item: &Item, key_offset: usize) -> Result<(), Problem> {
    let offset = item.span().map_or(key_offset, |span| span.start);
    let wrong = |allowed: &str| Problem {
        offset,
        text: format!("{}.{} must be {allowed}", key.table, key.name),
    };
    let Some(value) = item.as_value().and_then(|value| text_of(value, key.kind)) else {
        return Err(wrong(match key.kind {
            Kind::Text => "a text in quotes",
            Kind::Path => "a path in quotes",
            Kind::Switch => "true or false",
            Kind::Count => "a whole number",
            Kind::Size => "a number of bytes, or a text such as '2GiB'",
        }));
    };
    (key.set)(config, &value).map_err(|allowed| wrong(&allowed))
}

/// The value as the text that a variable would hold, if it is of the right type.
fn text_of(value: &Value, kind: Kind) -> Option<OsString> {
    let text = match kind {
        Kind::Text => value.as_str()?.to_owned(),
        Kind::Path => match value.as_array() {
            Some(bytes) => return path_of(bytes),
            None => value.as_str()?.to_owned(),
        },
        Kind::Switch => value.as_bool()?.to_string(),
        Kind::Count => value.as_integer()?.to_string(),
        Kind::Size => match value.as_integer() {
            Some(bytes) => bytes.to_string(),
            None => value.as_str()?.to_owned(),
        },
    };
    Some(text.into())
}

/// A path that is no UTF-8 stands in the file as its bytes.
fn path_of(bytes: &toml_edit::Array) -> Option<OsString> {
    let bytes = bytes.iter().map(|byte| u8::try_from(byte.as_integer()?).ok());
    bytes.collect::<Option<Vec<u8>>>().map(values::from_bytes)
}
