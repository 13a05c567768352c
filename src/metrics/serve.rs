//! `/metrics` and `/healthz` over HTTP, to whoever can connect.
//!
//! Nobody who connects may disturb the engine: a connection is for one request, has little room
//! and little time, and there are few at once. Where there is one too many the oldest is closed,
//! so that who keeps connections open keeps nobody out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, spawn_local};

use super::Metrics;
use super::socket::Door;

/// So many connections at once.
const CONNECTIONS_MAX: usize = 16;
/// A request with all its headers: as little as the parser can do with.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
/// Until the request is there, and until the answer is taken.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing can be accepted: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers whoever comes in, for ever.
pub(super) async fn serve(door: Door, metrics: Metrics) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let connection = match &door {
            Door::Tcp(listener) => {
                listener.accept().await.map(|(stream, _)| attend(stream, &metrics))
            }
            Door::Unix(listener, _) => {
                listener.accept().await.map(|(stream, _)| attend(stream, &metrics))
            }
        };
        match connection {
            Ok(connection) => open.push_back(connection),
            // One that is gone before it was accepted is like none.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::debug!("a connection for metrics could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        open.retain(|connection| !connection.is_finished());
        while open.len() > CONNECTIONS_MAX {
            if let Some(oldest) = open.pop_front() {
                oldest.abort();
            }
        }
    }
}

fn attend(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, metrics: &Metrics) -> AbortHandle {
    let metrics = metrics.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_PATIENCE)
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let task = spawn_local(async move {
        match tokio::time::timeout(PATIENCE, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("a connection for metrics: {error}"),
            Err(_) => tracing::debug!("a connection for metrics was too slow"),
        }
    });
    task.abort_handle()
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (path, method) = (request.uri().path(), request.method());
    if !matches!(path, "/metrics" | "/healthz") {
        let text = "nothing here; there are /metrics and /healthz\n";
        return response(StatusCode::NOT_FOUND, PLAIN, text.to_owned());
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let text = "GET and HEAD alone\n".to_owned();
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, text);
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    if path == "/healthz" {
        let (is_well, text) = metrics.health();
        let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        return response(status, JSON, text);
    }
    match metrics.text() {
        Ok(text) => response(StatusCode::OK, OPEN_METRICS, text),
        Err(error) => {
            response(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("no metrics: {error}\n"))
        }
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
