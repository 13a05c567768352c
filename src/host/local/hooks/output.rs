//! What a command writes: line by line into our log, and no more than anybody reads.

use nix::errno::Errno;
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
/// What a pipe may hold: nobody waits for more of one who writes on and on.
const PIPE_BYTES_MAX: usize = 1 << 20;

/// Listens to one run of a command.
pub(super) struct Listener {
    reader: Receiver,
    lines: Lines,
    is_over: bool,
}

impl Listener {
    /// Its output is logged where it is `called` so.
    pub(super) fn new(reader: Receiver, called: Option<&'static str>) -> Self {
        let lines =
            Lines { called, line: Vec::new(), is_cut: false, count: 0, said: String::new() };
        Self { reader, lines, is_over: false }
    }

    /// Listens until nobody can write any more. Safe to cancel and to call again.
    pub(super) async fn listen(&mut self) {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while !self.is_over {
            // What can't be read is as good as the end.
            let _ = self.reader.read_buf(&mut chunk).await;
            self.hear(&chunk);
            chunk.clear();
        }
    }

    /// Takes in what has been written by now, and waits for nothing: who has ended has written all
    /// that it had to say. What is said of it is the last line that was not empty; and who may
    /// still write is listened to by somebody else.
    pub(super) fn conclude(mut self) -> (String, Option<Self>) {
        let (mut chunk, mut heard) = (vec![0; CHUNK_BYTES], 0);
        // The kernel is asked, and not the runtime, which may not have heard of it yet.
        while !self.is_over && heard < PIPE_BYTES_MAX {
            match nix::unistd::read(&self.reader, &mut chunk) {
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                read => {
                    let bytes = read.unwrap_or_default();
                    self.hear(chunk.get(..bytes).unwrap_or_default());
                    heard += bytes;
                }
            }
        }
        self.lines.end();
        let said = self.lines.said.clone();
        (said, (!self.is_over).then_some(self))
    }

    /// Nothing is the end.
    fn hear(&mut self, chunk: &[u8]) {
        for byte in chunk {
            if *byte == b'\n' { self.lines.end() } else { self.lines.push(*byte) }
        }
        if chunk.is_empty() {
            self.lines.end();
            self.is_over = true;
        }
    }
}

struct Lines {
    called: Option<&'static str>,
    line: Vec<u8>,
    is_cut: bool,
    count: u32,
    /// The last line that was not empty, of what has been heard so far.
    said: String,
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
        self.said = text.chars().take(SAID_CHARS_MAX).collect();
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
