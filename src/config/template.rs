//! What a written config.toml looks like.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use super::keys::{self, Value};
use super::{Config, values};

const HEAD: &str = "\
# Configuration of one nymvisor instance.
#
# Each key may be left out, its default holds then, and each may be overridden by the environment
# variable named with it. Durations are texts such as '10s' or '1h 30m'.
";

/// The text of the file: every key, each with a comment.
pub(super) fn render(config: &Config) -> String {
    let mut text = HEAD.to_owned();
    let mut table = "";
    for key in keys::all() {
        // Writing to a String can't fail.
        if key.table != table {
            table = key.table;
            let _ = write!(text, "\n[{table}]\n");
        }
        let value = to_toml((key.get)(config));
        let _ = write!(text, "\n# {}\n# ({})\n{} = {value}\n", key.comment, key.variable, key.name);
    }
    text
}

fn to_toml(value: Value) -> toml_edit::Value {
    match value {
        Value::Text(text) => text.into(),
        Value::Address(address) => address.written().into(),
        Value::Path(path) => match path.to_str() {
            Some(text) => text.into(),
            None => path.as_os_str().as_bytes().iter().map(|byte| i64::from(*byte)).collect(),
        },
        Value::Switch(on) => on.into(),
        Value::Count(number) => i64::from(number).into(),
        Value::Size(bytes) => values::size_text(bytes).into(),
        Value::Time(duration) => humantime::format_duration(duration).to_string().into(),
        Value::Unset => "".into(),
    }
}
