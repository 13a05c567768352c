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

use self::reply::{After, Length};

pub(crate) use self::reply::Reply;

mod reply;

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
