//! The exchanges with the server that bring one file.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::DateTime;
use reqwest::header::{CONTENT_RANGE, DATE, ETAG, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::{mpsc, watch};

use super::mirrors::Mirrors;
use super::part::{Note, Part, Proof};
use super::{Error, Order, Progress};
use crate::digest::{self, Hex};
use crate::host::http::{self, Timeouts};

/// So many pieces wait for the disk at most.
const QUEUE_PIECES: usize = 16;

/// No pause between two tries is longer.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One call of [`super::fetch`].
pub(super) struct Download<'a> {
    /// The place that is asked at present.
    pub(super) url: Url,
    pub(super) order: &'a Order,
    pub(super) cancel: watch::Receiver<bool>,
    pub(super) progress: &'a watch::Sender<Progress>,
}

/// All bytes are there. After a resumption they may still be the wrong ones.
pub(super) struct Got {
    pub(super) part: Part,
    pub(super) hex: Hex,
    pub(super) was_resumed: bool,
}

/// A response that will do, and where in the file its body begins.
struct Answer {
    response: Response,
    start: u64,
    total: Option<u64>,
}

impl Download<'_> {
    /// Tries, at one place after the other, until it is there, no place is left that may have
    /// it, or the tries are used up.
    ///
    /// `use_earlier`: go on from what an earlier call left; `may_resume`: from what an earlier
    /// try of this one left.
    pub(super) async fn persist(
        &mut self,
        mirrors: &mut Mirrors,
        use_earlier: bool,
        may_resume: bool,
    ) -> Result<Got, Error> {
        let mut keep = use_earlier;
        let mut pause = self.order.timeouts.retry_pause;
        let mut rounds_left = self.order.tries.max(1);
        loop {
            rounds_left -= 1;
            for place in mirrors.live() {
                self.url = place.url.clone();
                let error = match self.attempt(keep).await {
                    Ok(got) => match self.unless_wrong(got).await {
                        Ok(got) => return Ok(got),
                        Err(error) => error,
                    },
                    Err(error) => error,
                };
                let is_of_server = error.is_of_server();
                if !is_of_server && !error.is_transient() {
                    return Err(error);
                }
                mirrors.failed(&place, error);
                keep = may_resume;
                if !is_of_server {
                    break;
                }
            }
            if rounds_left == 0 || mirrors.live().is_empty() {
                return Err(mirrors.verdict());
            }
            self.unless_cancelled(tokio::time::sleep(pause.min(PAUSE_MAX))).await?;
            pause = pause.saturating_mul(2);
        }
    }

    /// A file that came in one go and is another one is thrown away: its server has the wrong
    /// one. After a resumption nobody can tell whose bytes are wrong.
    async fn unless_wrong(&self, got: Got) -> Result<Got, Error> {
        if got.was_resumed || self.order.is_expected(&got.hex) {
            return Ok(got);
        }
        let Got { part, hex, .. } = got;
        let bytes = part.bytes();
        off_runtime(&self.order.part, move || part.discard()).await?;
        Err(self.order.mismatch(&self.url, &hex, bytes))
    }

    async fn attempt(&mut self, keep: bool) -> Result<Got, Error> {
        let order = self.order;
        let (path, algorithm) = (order.part.clone(), order.algorithm());
        let part = off_runtime(&order.part, move || Part::open(&path, algorithm, keep)).await?;
        let hex = part.digest();
        if order.expect.is_some() && part.bytes() > 0 && order.is_expected(&hex) {
            // Finished before, and interrupted before it got its final name.
            return Ok(Got { part, hex, was_resumed: true });
        }
        let client = http::client(&self.url, &order.timeouts)?;
        let answer = match part.resumable(&self.url_digest(), order.expected()) {
            Some((note, proof)) => self.ask_for_rest(&client, note, proof, part.bytes()).await?,
            None => None,
        };
        let answer = match answer {
            Some(answer) => answer,
            None => self.ask_for_all(&client).await?,
        };
        self.check_size(answer.total.unwrap_or_default(), answer.total)?;
        let was_resumed = answer.start > 0;
        let note = self.note(&answer);
        let (total, mut part) = (answer.total, part);
        let part = off_runtime(&order.part, move || {
            if was_resumed {
                part.resume(total)?;
            } else {
                part.begin(note, total)?;
            }
            Ok(part)
        })
        .await?;
        let part = self.receive(answer, part).await?;
        let hex = part.digest();
        Ok(Got { part, hex, was_resumed })
    }

    /// The rest from `start` on, the whole, or `None` where only a plain request can help.
    async fn ask_for_rest(
        &mut self,
        client: &Client,
        note: &Note,
        proof: Proof,
        start: u64,
    ) -> Result<Option<Answer>, Error> {
        let request = client.get(self.url.clone()).header(RANGE, format!("bytes={start}-"));
        let response = self
            .send(match proof {
                Proof::Validator => request.header(IF_RANGE, &note.validator),
                Proof::Checksum => request,
            })
            .await?;
        match response.status() {
            StatusCode::OK => Ok(Some(Answer::whole(response))),
            StatusCode::PARTIAL_CONTENT => {
                let total = note.total;
                let is_same = proof == Proof::Checksum
                    || validator(&response).is_none_or(|now| now == note.validator);
                let fits = is_same && content_range(&response) == Some((start, total));
                let response = Some(response).filter(|_| fits);
                Ok(response.map(|response| Answer { response, start, total: Some(total) }))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(None),
            _ => Err(http::Error::from_status(&self.url, &response, "200 or 206").into()),
        }
    }

    async fn ask_for_all(&mut self, client: &Client) -> Result<Answer, Error> {
        let response = self.send(client.get(self.url.clone())).await?;
        match response.status() {
            StatusCode::OK => Ok(Answer::whole(response)),
            _ => Err(http::Error::from_status(&self.url, &response, "200").into()),
        }
    }

    async fn send(&mut self, request: RequestBuilder) -> Result<Response, Error> {
        let sent = self.unless_cancelled(request.send()).await?;
        sent.map_err(|error| http::Error::from_reqwest(&self.url, error).into())
    }

    /// Takes the body in, hands it to the writer, and waits until that is done.
    async fn receive(&mut self, answer: Answer, mut part: Part) -> Result<Part, Error> {
        let start = part.bytes();
        let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(QUEUE_PIECES);
        let writer = off_runtime(&self.order.part, move || {
            while let Some(piece) = pieces.blocking_recv() {
                part.append(&piece)?;
            }
            Ok(part)
        });
        // The reader owns the queue's other end: when it is done, so is the writer.
        let (read, written) = tokio::join!(self.read(answer, sender, start), writer);
        let part = written?;
        match read {
            Err(Error::Http(error @ http::Error::TooLarge { .. })) => {
                off_runtime(&self.order.part, move || part.discard()).await?;
                Err(error.into())
            }
            read => read.map(|()| part),
        }
    }

    async fn read(
        &mut self,
        answer: Answer,
        sender: mpsc::Sender<Vec<u8>>,
        start: u64,
    ) -> Result<(), Error> {
        let Answer { mut response, total, .. } = answer;
        let mut bytes = start;
        let mut pace = Pace::new(&self.order.timeouts);
        loop {
            self.progress.send_replace(Progress { bytes, total });
            let piece = self.unless_cancelled(response.chunk()).await?;
            let piece = piece.map_err(|error| http::Error::from_reqwest(&self.url, error))?;
            let Some(piece) = piece else { break };
            bytes += piece.len() as u64;
            self.check_size(bytes, None)?;
            pace.add(piece.len() as u64).map_err(|why| self.broke_off(why))?;
            if sender.send(piece.into()).await.is_err() {
                // The writer has stopped, and its error is the one that tells why.
                return Ok(());
            }
        }
        match total {
            Some(total) if total != bytes => {
                Err(self.broke_off(format!("the body ended after {bytes} of {total} bytes")))
            }
            _ if bytes == 0 => Err(self.broke_off("the body is empty".into())),
            _ => Ok(()),
        }
    }

    fn broke_off(&self, why: String) -> Error {
        http::Error::Network { url: http::redact(self.url.as_str()), why }.into()
    }

    fn check_size(&self, bytes: u64, announced: Option<u64>) -> Result<(), Error> {
        if bytes <= self.order.max_bytes {
            return Ok(());
        }
        let found = announced.map_or_else(|| "more".into(), |bytes| bytes.to_string());
        let (url, max_bytes) = (http::redact(self.url.as_str()), self.order.max_bytes);
        Err(http::Error::TooLarge { url, found, max_bytes }.into())
    }

    /// What to remember so that this answer can be resumed, if it can be.
    fn note(&self, answer: &Answer) -> Option<Note> {
        let validator = validator(&answer.response)?;
        let expected = self.order.expected().map(str::to_owned);
        Some(Note { url_digest: self.url_digest(), validator, total: answer.total?, expected })
    }

    fn url_digest(&self) -> String {
        digest::sha256(http::redact(self.url.as_str()).as_bytes())
    }

    /// The result of `work`, or an error as soon as the download is cancelled.
    async fn unless_cancelled<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let cancelled = async {
            if self.cancel.wait_for(|&cancelled| cancelled).await.is_err() {
                // Nobody is left who could cancel.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = cancelled => Err(Error::Cancelled { url: http::redact(self.url.as_str()) }),
            done = work => Ok(done),
        }
    }
}

impl Answer {
    fn whole(response: Response) -> Self {
        let total = response.content_length();
        Self { response, start: 0, total }
    }
}

/// Notices a body that comes too slowly to ever end.
struct Pace {
    window: Duration,
    bytes_min: u64,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(timeouts: &Timeouts) -> Self {
        let (window, bytes_min) = (timeouts.window, timeouts.window_bytes_min);
        Self { window, bytes_min, since: Instant::now(), bytes: 0 }
    }

    fn add(&mut self, bytes: u64) -> Result<(), String> {
        self.bytes += bytes;
        if self.since.elapsed() < self.window {
            return Ok(());
        }
        if self.bytes < self.bytes_min {
            let Self { window, bytes_min, bytes, .. } = self;
            return Err(format!("only {bytes} bytes in {window:?}, expected {bytes_min}"));
        }
        (self.since, self.bytes) = (Instant::now(), 0);
        Ok(())
    }
}

/// First byte and total of a `Content-Range: bytes 5-9/10`.
pub(super) fn content_range(response: &Response) -> Option<(u64, u64)> {
    let (range, total) =
        header(response, CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()?))
}

/// What `If-Range` may carry: a strong entity tag, or a date that is old enough to tell two
/// versions apart.
fn validator(response: &Response) -> Option<String> {
    if let Some(tag) = header(response, ETAG).filter(|tag| tag.starts_with('"')) {
        return Some(tag.to_owned());
    }
    let modified = header(response, LAST_MODIFIED)?;
    let modified_at = DateTime::parse_from_rfc2822(modified).ok()?;
    let sent_at = DateTime::parse_from_rfc2822(header(response, DATE)?).ok()?;
    (sent_at.signed_duration_since(modified_at).num_seconds() >= 1).then(|| modified.to_owned())
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// Does blocking work on the file at `path` in a thread that may block.
pub(super) async fn off_runtime<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::io("finish the work on", path, io::Error::other(error))),
    }
}
