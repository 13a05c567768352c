//! The `-c` file: lines of `KEY=VALUE`.
//!
//! `export` in front is allowed, so are comments, 'single quotes' (nothing in them is special)
//! and "double quotes" (with \n, \r, \t, \\, \" and \$). Variables are not expanded. Bytes that
//! are no UTF-8 are kept: a value may be a path.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// A line that can't be used: its number, from 1, and what is wrong with it.
pub(super) type BadLine = (usize, &'static str);

/// Reads the lines, in order.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(OsString, OsString)>, BadLine> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut pairs = Vec::new();
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (key, value) = pair(line).map_err(|problem| (index + 1, problem))?;
        pairs.push((OsString::from_vec(key), OsString::from_vec(value)));
    }
    Ok(pairs)
}

fn pair(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let line = match line.strip_prefix(b"export") {
        Some(rest) if rest.first().is_some_and(u8::is_ascii_whitespace) => rest.trim_ascii_start(),
        _ => line,
    };
    let mut halves = line.splitn(2, |b| *b == b'=');
    let key = halves.next().unwrap_or_default().trim_ascii();
    let Some(value) = halves.next() else {
        return Err("expected KEY=VALUE, found no '='");
    };
    let starts_well = key.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    if !starts_well || !key.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return Err("expected KEY=VALUE with a key of letters, digits and '_'");
    }
    if value.contains(&0) {
        return Err("a value can't hold a zero byte");
    }
    Ok((key.to_vec(), unquoted(value.trim_ascii())?))
}

fn unquoted(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (quote, rest) = match value.split_first() {
        Some((quote @ (b'\'' | b'"'), rest)) => (*quote, rest),
        _ => return Ok(bare(value).to_vec()),
    };
    let mut out = Vec::new();
    let mut bytes = rest.iter().copied();
    loop {
        match bytes.next() {
            None => return Err("the quote is not closed on this line"),
            Some(b) if b == quote => break,
            Some(b'\\') if quote == b'"' => out.push(escaped(bytes.next())?),
            Some(b) => out.push(b),
        }
    }
    let rest: Vec<u8> = bytes.collect();
    let after = rest.trim_ascii_start();
    if after.is_empty() || after.starts_with(b"#") {
        return Ok(out);
    }
    Err("there is more after the closing quote")
}

fn escaped(byte: Option<u8>) -> Result<u8, &'static str> {
    match byte {
        Some(b'n') => Ok(b'\n'),
        Some(b'r') => Ok(b'\r'),
        Some(b't') => Ok(b'\t'),
        Some(b @ (b'\\' | b'"' | b'$' | b'\'')) => Ok(b),
        _ => Err("after a backslash in double quotes comes n, r, t, \\, \" or $"),
    }
}

/// Without a comment, which needs a blank in front of its '#'.
fn bare(value: &[u8]) -> &[u8] {
    let comment = value
        .windows(2)
        .position(|pair| matches!(pair, [blank, b'#'] if blank.is_ascii_whitespace()));
    let end = if value.starts_with(b"#") { Some(0) } else { comment };
    end.and_then(|end| value.get(..end)).unwrap_or(value).trim_ascii_end()
}
