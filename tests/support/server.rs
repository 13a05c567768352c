//! An HTTP/1.1 server on loopback that can misbehave in every way a download has to survive.
//!
//! ```ignore
//! let server = Server::start();
//! server.put("/file", Reply::ok(bytes).etag("\"1\"").ranges());
//! server.put_each("/odd", [Reply::ok(bytes).cut_after(10), Reply::status(503)]);
//! // … use server.url("/file") …
//! assert_eq!(server.requests("/file").len(), 1);
//! ```
//!
//! Every connection carries one exchange and has a thread of its own. A path without a reply
//! answers 404 with an HTML page. Paths are matched without their query. Replies can be replaced
//! while the server runs; an exchange that is under way keeps the one it began with.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Written at a time when nothing asks for less.
const PIECE_BYTES: usize = 64 * 1024;

/// What a server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET`, `HEAD`, …
    pub(crate) method: String,
    /// Path with its query, as it was sent.
    pub(crate) target: String,
    /// Names in lower case, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }
}

/// How a reply says how long its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// `Content-Length` with the true number.
    True,
    /// `Content-Length` with this one.
    Claimed(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Neither: the body ends with the connection.
    Close,
}

/// What to do when the body, or what may be sent of it, is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Finish,
    CloseEarly,
    Hang,
    Repeat,
}

/// One scripted reply. Builders may be combined.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Arc<Vec<u8>>,
    length: Length,
    sent_max: u64,
    after: After,
    is_silent: bool,
    has_ranges: bool,
    content_range: Option<String>,
    drip: Option<(usize, Duration)>,
    bytes_per_second: Option<u64>,
}

impl Reply {
    /// A status without a body of its own (a short HTML page is sent).
    pub(crate) fn status(status: u16) -> Self {
        let page = format!("<!DOCTYPE html><title>{status}</title><p>This is no binary.\n");
        Self {
            status,
            headers: Vec::new(),
            body: Arc::new(page.into_bytes()),
            length: Length::True,
            sent_max: u64::MAX,
            after: After::Finish,
            is_silent: false,
            has_ranges: false,
            content_range: None,
            drip: None,
            bytes_per_second: None,
        }
    }

    /// 200 with this body.
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200).body(body)
    }

    /// 302 to another place; `to` is sent as it is.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    /// Reads the request and never answers.
    pub(crate) fn never() -> Self {
        Self { is_silent: true, ..Self::status(200) }
    }

    /// 200 with a chunked body that repeats `bytes` for ever.
    pub(crate) fn endless(bytes: impl Into<Vec<u8>>) -> Self {
        Self { after: After::Repeat, ..Self::ok(bytes).chunked() }
    }

    /// Another body.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Arc::new(body.into());
        self
    }

    /// One more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// An entity tag with its quotes; a matching `If-None-Match` is answered with 304.
    pub(crate) fn etag(self, tag: &str) -> Self {
        self.header("ETag", tag)
    }

    /// A date; an equal `If-Modified-Since` is answered with 304.
    pub(crate) fn last_modified(self, date: &str) -> Self {
        self.header("Last-Modified", date)
    }

    /// Honours `Range` with 206 (or 416), if `If-Range` fits.
    pub(crate) fn ranges(mut self) -> Self {
        self.has_ranges = true;
        self
    }

    /// Sends this as `Content-Range` in a 206 instead of the right one.
    pub(crate) fn content_range(mut self, value: &str) -> Self {
        self.content_range = Some(value.into());
        self
    }

    /// Claims this `Content-Length`.
    pub(crate) fn content_length(mut self, claimed: u64) -> Self {
        self.length = Length::Claimed(claimed);
        self
    }

    /// Sends the body in chunks, with no length announced.
    pub(crate) fn chunked(mut self) -> Self {
        self.length = Length::Chunked;
        self
    }

    /// Announces no length; the body ends with the connection.
    pub(crate) fn no_length(mut self) -> Self {
        self.length = Length::Close;
        self
    }

    /// Closes the connection after so many bytes of the body.
    pub(crate) fn cut_after(mut self, bytes: u64) -> Self {
        (self.sent_max, self.after) = (bytes, After::CloseEarly);
        self
    }

    /// Sends nothing more after so many bytes of the body, and keeps the connection open.
    pub(crate) fn stall_after(mut self, bytes: u64) -> Self {
        (self.sent_max, self.after) = (bytes, After::Hang);
        self
    }

    /// Sends `bytes` of the body at a time, with a pause after each.
    pub(crate) fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Sends no faster than this.
    pub(crate) fn rate(mut self, bytes_per_second: u64) -> Self {
        self.bytes_per_second = Some(bytes_per_second);
        self
    }

    /// How long to wait so that `sent` bytes since `started` are not too many.
    fn ahead(&self, sent: u64, started: Instant) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let due = Duration::from_nanos(
            u64::try_from(u128::from(sent) * 1_000_000_000 / u128::from(rate)).unwrap(),
        );
        due.saturating_sub(started.elapsed())
    }

    fn own(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<HashMap<String, Vec<Reply>>>,
    log: Mutex<Vec<Request>>,
    is_over: AtomicBool,
    over: (Mutex<()>, Condvar),
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.is_over() {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A client that hangs up is what many tests are about.
                std::thread::spawn(move || stream.and_then(|stream| shared.serve(&stream)));
            }
        });
        Self { address, shared }
    }

    /// The URL of a path, which begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same with a user and a password.
    pub(crate) fn url_with(&self, credentials: &str, path: &str) -> String {
        format!("http://{credentials}@{}{path}", self.address)
    }

    /// From now on `path` answers so.
    pub(crate) fn put(&self, path: &str, reply: Reply) {
        self.put_each(path, [reply]);
    }

    /// From now on `path` answers with each of these in turn, and with the last for ever.
    pub(crate) fn put_each(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: Vec<Reply> = replies.into_iter().collect();
        replies.reverse();
        assert!(!replies.is_empty(), "a path needs a reply");
        self.shared.scripts.lock().unwrap().insert(path.into(), replies);
    }

    /// What `path` was asked so far.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        let log = self.shared.log.lock().unwrap();
        log.iter().filter(|request| request.path() == path).cloned().collect()
    }

    /// How often `path` was asked so far.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.requests(path).len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.over.1.notify_all();
        // The acceptor wakes only for a connection.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Waits so long, or until the server ends.
    fn pause(&self, duration: Duration) {
        let guard = self.over.0.lock().unwrap();
        drop(self.over.1.wait_timeout_while(guard, duration, |()| !self.is_over()));
    }

    /// Keeps the connection open and silent until the server ends or the client hangs up.
    fn hang(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        while !self.is_over() {
            match stream.read(&mut [0; 64]) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let request = read_request(stream)?;
        let reply = {
            let mut scripts = self.scripts.lock().unwrap();
            match scripts.get_mut(request.path()) {
                Some(script) if script.len() > 1 => script.pop(),
                Some(script) => script.last().cloned(),
                None => None,
            }
        };
        self.log.lock().unwrap().push(request.clone());
        let reply = reply.unwrap_or_else(|| Reply::status(404));
        if reply.is_silent {
            return self.hang(stream);
        }
        self.answer(stream, &request, &reply)
    }

    fn answer(&self, mut stream: &TcpStream, request: &Request, reply: &Reply) -> io::Result<()> {
        let is_known = reply.status == 200 && is_not_modified(request, reply);
        let range = wanted_range(request, reply);
        let (status, from) = match range {
            _ if is_known => (304, reply.body.len()),
            None => (reply.status, 0),
            Some(start) if start < reply.body.len() => (206, start),
            Some(_) => (416, reply.body.len()),
        };
        let body = &reply.body[from..];
        let mut head = format!("HTTP/1.1 {status} Scripted\r\nConnection: close\r\n");
        for (name, value) in &reply.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if status == 206 {
            let (last, total) = (reply.body.len() - 1, reply.body.len());
            let right = format!("bytes {from}-{last}/{total}");
            write!(head, "Content-Range: {}\r\n", reply.content_range.as_ref().unwrap_or(&right))
                .unwrap();
        }
        match reply.length {
            Length::Claimed(length) => write!(head, "Content-Length: {length}\r\n").unwrap(),
            Length::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Length::True => write!(head, "Content-Length: {}\r\n", body.len()).unwrap(),
            Length::Close => {}
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        if request.method == "HEAD" || status == 304 {
            return Ok(());
        }
        self.send_body(stream, reply, body)
    }

    fn send_body(&self, mut stream: &TcpStream, reply: &Reply, body: &[u8]) -> io::Result<()> {
        let (piece_bytes, pause) = reply.drip.unwrap_or((PIECE_BYTES, Duration::ZERO));
        let is_chunked = reply.length == Length::Chunked;
        let (started, mut sent) = (Instant::now(), 0u64);
        'body: loop {
            for piece in body.chunks(piece_bytes) {
                let left = usize::try_from(reply.sent_max - sent).unwrap_or(usize::MAX);
                let piece = &piece[..piece.len().min(left)];
                if piece.is_empty() || self.is_over() {
                    break 'body;
                }
                if is_chunked {
                    write!(stream, "{:x}\r\n", piece.len())?;
                }
                stream.write_all(piece)?;
                if is_chunked {
                    stream.write_all(b"\r\n")?;
                }
                sent += piece.len() as u64;
                self.pause(pause.max(reply.ahead(sent, started)));
            }
            if reply.after != After::Repeat {
                break;
            }
        }
        match reply.after {
            After::Hang => self.hang(stream),
            After::Finish if is_chunked => stream.write_all(b"0\r\n\r\n"),
            After::Finish | After::CloseEarly | After::Repeat => Ok(()),
        }
    }
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut lines = BufReader::new(stream).lines();
    let mut next = || lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    let first = next()?;
    let mut words = first.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let mut headers = Vec::new();
    loop {
        let line = next()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Request { method, target, headers })
}

fn is_not_modified(request: &Request, reply: &Reply) -> bool {
    let is_same = |own: Option<&str>, asked: Option<&str>| own.is_some() && own == asked;
    match request.header("if-none-match") {
        Some(tag) => is_same(reply.own("ETag"), Some(tag)),
        None => is_same(reply.own("Last-Modified"), request.header("if-modified-since")),
    }
}

/// First byte of the range that is to be honoured.
fn wanted_range(request: &Request, reply: &Reply) -> Option<usize> {
    let start = request.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok();
    let fits = match request.header("if-range") {
        None => true,
        condition => condition == reply.own("ETag") || condition == reply.own("Last-Modified"),
    };
    start.filter(|_| reply.has_ranges && fits)
}
