//! What a command writes: line by line into our log, and no more than anybody reads.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 2000;
/// So many lines of one run are logged; the rest is read, and dropped.
const LINES_MAX: u32 = 1000;
/// What the record keeps of the last line.
const SAID_CHARS_MAX: usize = 200;
/// So much is read at once.
const CHUNK_BYTES: usize = 8192;

/// The last line that was not empty, of what has been heard so far.
pub(super) type Said = Rc<RefCell<String>>;

/// Listens until nobody can write any more.
pub(super) async fn listen(mut reader: Receiver, called: Option<&'static str>, said: Said) {
    let mut lines = Lines { called, line: Vec::new(), is_cut: false, count: 0, said };
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    while reader.read_buf(&mut chunk).await.is_ok_and(|bytes| bytes > 0) {
        for byte in chunk.drain(..) {
            if byte == b'\n' { lines.end() } else { lines.push(byte) }
        }
    }
    lines.end();
}

struct Lines {
    called: Option<&'static str>,
    line: Vec<u8>,
    is_cut: bool,
    count: u32,
    said: Said,
}

impl Lines {
    fn push(&mut self, byte: u8) {
        if self.line.len() < LINE_BYTES_MAX {
            self.line.push(byte);
        } else {
            self.is_cut = true;
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        let is_cut = std::mem::take(&mut self.is_cut);
        let text = String::from_utf8_lossy(&line).replace(char::is_control, " ");
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let text = if is_cut { format!("{text} …") } else { text.to_owned() };
        self.count = self.count.saturating_add(1);
        self.log(&text);
        self.said.replace(text.chars().take(SAID_CHARS_MAX).collect());
    }

    fn log(&self, text: &str) {
        let Some(called) = self.called else { return tracing::debug!("health check: {text}") };
        if self.count <= LINES_MAX {
            tracing::info!("{called} command: {text}");
        } else if self.count == LINES_MAX + 1 {
            tracing::warn!("{called} command: more than {LINES_MAX} lines; the rest is not logged");
        }
    }
}
