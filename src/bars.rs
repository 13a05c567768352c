//! Progress bars on a terminal, and lines that don't tear them.
//!
//! All of it goes to stderr. Where that is no terminal there are no bars, and lines are written as
//! they come. Nothing here ticks by itself: a bar moves when it is told to.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

const WITH_TOTAL: &str =
    "{msg} [{bar:30}] {percent:>3} %  {bytes} of {total_bytes}, {bytes_per_sec}";
const WITHOUT: &str = "{msg} {bytes}, {bytes_per_sec}";

static ALL: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A bar that shows how many bytes of a whole are done. It goes away with this value.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A new bar below the others; `None` where nobody would see it.
    pub fn begin(what: impl Into<Cow<'static, str>>) -> Option<Self> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let bar = ALL.add(bar.with_message(what));
        Some(Self(bar))
    }

    /// So many bytes are done, of so many where that is known.
    pub fn set(&self, bytes: u64, total: Option<u64>) {
        if self.0.length() != total || bytes == 0 {
            let template = if total.is_some() { WITH_TOTAL } else { WITHOUT };
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.0.set_style(style.progress_chars("=> "));
            }
            total.map_or_else(|| self.0.unset_length(), |total| self.0.set_length(total));
        }
        self.0.set_position(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        ALL.remove(&self.0);
    }
}

/// Stderr for whole lines: the bars step aside while one is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ALL.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
