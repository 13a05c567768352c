//! Text that comes from anywhere, made fit for a page.

use std::fmt::{self, Write};

/// A text as it stands in a page, within an element or a quoted attribute.
///
/// What would be markup is written as a reference. What can't be seen, or turns the order of what
/// stands beside it, is written in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(char)?,
                hidden if hidden.is_control() || is_invisible(hidden) => {
                    write!(f, "\\u{{{:x}}}", u32::from(hidden))?;
                }
                seen => f.write_char(seen)?,
            }
        }
        Ok(())
    }
}

/// Marks of direction, of no width, and other format characters.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
