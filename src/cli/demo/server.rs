//! A small HTTP server on 127.0.0.1: the upstream of the demo.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::digest;

/// Who says nothing for so long is hung up on.
const PATIENCE: Duration = Duration::from_secs(2);
/// A longer line is no request of ours.
const LINE_BYTES_MAX: u64 = 8 * 1024;
const HEADERS_MAX: usize = 100;

/// Serves files from memory until it is dropped. What it doesn't have is answered with 404.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    done: AtomicBool,
}

impl Server {
    /// Begins to serve on a port that is free.
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let its = shared.clone();
        let thread = thread::Builder::new().spawn(move || serve(&listener, &its))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// The URL of a path that begins with `/`.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves these bytes from now on.
    pub(super) fn publish(&self, path: &str, bytes: Vec<u8>) {
        self.shared
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned(), bytes);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::Relaxed);
        // Wakes the thread, which waits for a connection; where that fails it can't be waited for.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, shared: &Shared) {
    for stream in listener.incoming() {
        if shared.done.load(Ordering::Relaxed) {
            return;
        }
        // A client that breaks off knows best why.
        let _ = stream.and_then(|stream| answer(stream, shared));
    }
}

/// Answers one request and closes.
fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (path, known) = read_request(&stream)?;
    let body = {
        let files = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(&path).cloned()
    };
    let Some(body) = body else {
        return respond(&mut stream, "404 Not Found", "", b"no such file\n");
    };
    let tag = format!("\"{}\"", digest::sha256(&body));
    let tag_line = format!("ETag: {tag}\r\n");
    if known.as_ref() == Some(&tag) {
        return respond(&mut stream, "304 Not Modified", &tag_line, b"");
    }
    respond(&mut stream, "200 OK", &tag_line, &body)
}

/// The path that is asked for, and the tag of what the client has already.
fn read_request(stream: &TcpStream) -> io::Result<(String, Option<String>)> {
    let mut reader = BufReader::new(stream);
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        io::Read::take(&mut reader, LINE_BYTES_MAX).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let request = line()?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut known = None;
    for _ in 0..HEADERS_MAX {
        let header = line()?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("if-none-match")
        {
            known = Some(value.trim().to_owned());
        }
    }
    Ok((path, known))
}

fn respond(stream: &mut TcpStream, status: &str, more: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    stream.flush()
}
