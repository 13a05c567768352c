//! How a retention is written.

use super::values;
use crate::retention::Retention;

/// Reads `5`, `90d` or `5 90d`; the error says what is allowed.
pub(super) fn parse(text: &str) -> Result<Retention, String> {
    let allowed =
        || "a number to keep of at least 1, an age such as 90d, or both: '5 90d'".to_owned();
    let is_count = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
    let (counts, ages): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(is_count);
    let count = match counts.as_slice() {
        [] => None,
        [count] => Some(count.parse().ok().filter(|count| *count > 0).ok_or_else(allowed)?),
        [..] => return Err(allowed()),
    };
    let age = ages.join(" ");
    let age = if age.is_empty() { None } else { Some(values::interval(age.as_ref())) };
    let age = age.transpose().map_err(|_| allowed())?;
    if count.is_none() && age.is_none() {
        return Err(allowed());
    }
    Ok(Retention { count, age })
}
