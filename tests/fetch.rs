//! Downloads from a server that misbehaves, and what they leave on the disk.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nymvisor::digest::{self, Algorithm, Digests};
use nymvisor::host::fetch::{Error, Expected, Fetched, Order, Progress, fetch};
use nymvisor::host::http::Timeouts;
use nymvisor::machine::Code;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::server::{Reply, Server};

mod mirrors;
mod resume;

const TAG: &str = "\"v1\"";
/// A server with one file, a folder for the part, and the order to fetch it.
struct Bench {
    server: Server,
    folder: TempDir,
    bytes: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        Self { server: Server::start(), folder: tempfile::tempdir().unwrap(), bytes }
    }

    /// The whole file, as a well-behaved server sends it.
    fn good(&self) -> Reply {
        Reply::ok(self.bytes.clone()).etag(TAG).ranges()
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("nym-node.part")
    }

    fn note(&self) -> PathBuf {
        self.folder.path().join("nym-node.part.json")
    }

    fn order(&self) -> Order {
        Order {
            url: self.server.url("/file"),
            mirrors: Vec::new(),
            part: self.part(),
            expect: Some(sha256(&self.bytes)),
            max_bytes: 64 * 1024 * 1024,
            timeouts: Timeouts { retry_pause: Duration::from_millis(1), ..Timeouts::default() },
            tries: 1,
        }
    }

    /// Leaves the first 500,000 bytes behind, as a download that broke off does.
    async fn begin(&self, reply: Reply) {
        self.server.put("/file", reply.cut_after(500_000));
        let error = run(&self.order()).await.unwrap_err();
        assert_eq!(error.code(), Code::Network, "{error}");
        assert_eq!(fs::read(self.part()).unwrap(), self.bytes[..500_000]);
    }

    /// First byte of the range that each request asked for.
    fn ranges(&self) -> Vec<Option<u64>> {
        let start = |range: &str| range["bytes=".len()..].strip_suffix('-')?.parse().ok();
        let requests = self.server.requests("/file");
        requests.iter().map(|request| request.header("range").and_then(start)).collect()
    }

    fn is_whole(&self) {
        assert_eq!(fs::read(self.part()).unwrap(), self.bytes);
        assert!(!self.note().exists());
    }

    fn is_empty(&self) {
        let names: Vec<_> = fs::read_dir(self.folder.path()).unwrap().collect();
        assert!(names.is_empty(), "{names:?}");
    }
}

fn sha256(bytes: &[u8]) -> Expected {
    Expected { algorithm: Algorithm::Sha256, hex: digest::sha256(bytes) }
}

/// Fetches; what hangs fails here instead of holding up all tests.
async fn run(order: &Order) -> Result<Fetched, Error> {
    let (_cancel, cancelled) = watch::channel(false);
    let (progress, _) = watch::channel(Progress::default());
    let fetched = fetch(order, cancelled, &progress);
    tokio::time::timeout(Duration::from_mins(1), fetched).await.expect("an end within a minute")
}

#[tokio::test]
async fn a_file_arrives_whole() {
    let bench = Bench::new();
    bench.server.put("/file", bench.good());
    let (_cancel, cancelled) = watch::channel(false);
    let (progress, seen) = watch::channel(Progress::default());
    let fetched = fetch(&bench.order(), cancelled, &progress).await.unwrap();
    let bytes = bench.bytes.len() as u64;
    assert_eq!((fetched.sha256, fetched.bytes), (digest::sha256(&bench.bytes), bytes));
    assert_eq!(*seen.borrow(), Progress { bytes, total: Some(bytes) });
    assert_eq!(fs::metadata(bench.part()).unwrap().permissions().mode() & 0o7777, 0o600);
    bench.is_whole();
}

#[tokio::test]
async fn every_kind_of_checksum_is_understood() {
    let bench = Bench::new();
    bench.server.put("/file", bench.good());
    let mut digests = Digests::new(Algorithm::Sha512);
    digests.update(&bench.bytes);
    let hex = digests.finish().sha512.unwrap();
    let algorithm = Algorithm::Sha512;
    for expect in [
        None,
        Some(Expected { algorithm, hex: hex.clone() }),
        Some(Expected { algorithm, hex: hex.to_uppercase() }),
        Some(Expected { hex: digest::sha256(&bench.bytes).to_uppercase(), ..sha256(b"") }),
    ] {
        let order = Order { expect, ..bench.order() };
        assert_eq!(run(&order).await.unwrap().sha256, digest::sha256(&bench.bytes));
        bench.is_whole();
        fs::remove_file(bench.part()).unwrap();
    }
    let wrong = Expected { algorithm, hex: digest::sha256(&bench.bytes) };
    let order = Order { expect: Some(wrong), ..bench.order() };
    assert_eq!(run(&order).await.unwrap_err().code(), Code::DigestMismatch);
}

#[tokio::test]
async fn h22_h23_h24_no_bad_answer_is_taken_for_the_file() {
    let bench = Bench::new();
    let slow = Duration::from_millis(20);
    let whole = || Reply::ok(bench.bytes.clone());
    let many = || Reply::endless(vec![b'x'; 100_000]);
    // The file, the announced code, and whether the folder is left empty.
    let cases: Vec<(&str, Reply, Code, bool)> = vec![
        ("404", Reply::status(404).etag(TAG), Code::HttpStatus, false),
        ("500", Reply::status(500), Code::HttpStatus, false),
        ("204", Reply::status(204).body(""), Code::HttpStatus, false),
        ("206 to no range", Reply::status(206), Code::HttpStatus, false),
        ("304 to no condition", Reply::status(304), Code::HttpStatus, false),
        ("page with status 200", Reply::ok("<html>"), Code::DigestMismatch, true),
        ("empty", Reply::ok(""), Code::Network, false),
        ("never", Reply::never(), Code::Network, false),
        ("stall", whole().stall_after(1000), Code::Network, false),
        ("stall at once", whole().stall_after(0), Code::Network, false),
        ("trickle", many().drip(1, slow), Code::Network, false),
        ("cut", whole().cut_after(1000), Code::Network, false),
        ("lying length", whole().content_length(2_000_000), Code::Network, false),
        ("lying low", whole().content_length(1000), Code::DigestMismatch, true),
        ("cut chunks", whole().chunked().cut_after(1000), Code::Network, false),
        ("too large", whole().content_length(64 * 1024 * 1024 + 1), Code::TooLarge, false),
        ("without end", many(), Code::TooLarge, true),
        ("redirect loop", Reply::redirect("/file"), Code::HttpStatus, false),
        ("redirect to ftp", Reply::redirect("ftp://example.org/x"), Code::BadUrl, false),
    ];
    for (name, reply, code, is_gone) in cases {
        bench.server.put("/file", reply);
        let mut order = bench.order();
        if ["never", "stall", "stall at once"].contains(&name) {
            order.timeouts.idle = Duration::from_millis(200);
        }
        if name == "trickle" {
            order.timeouts.window = Duration::from_millis(200);
        }
        if name == "without end" {
            order.max_bytes = 5_000_000;
        }
        let error = run(&order).await.unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert_eq!(!bench.part().exists(), is_gone, "{name}");
        if [Code::HttpStatus, Code::BadUrl].contains(&code) {
            assert_eq!(fs::read(bench.part()).unwrap(), b"", "{name}");
        }
        fs::remove_file(bench.part()).ok();
        fs::remove_file(bench.note()).ok();
    }
}

#[tokio::test]
async fn h23_an_error_page_leaves_an_earlier_part_alone() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    bench.server.put("/file", Reply::status(404));
    assert_eq!(run(&bench.order()).await.unwrap_err().code(), Code::HttpStatus);
    assert_eq!(fs::read(bench.part()).unwrap(), bench.bytes[..500_000]);
    bench.server.put("/file", bench.good());
    run(&bench.order()).await.unwrap();
    assert_eq!(bench.ranges(), [None, Some(500_000), Some(500_000)]);
    bench.is_whole();
}

#[tokio::test]
async fn what_was_finished_before_is_not_fetched_again() {
    let bench = Bench::new();
    fs::write(bench.part(), &bench.bytes).unwrap();
    let fetched = run(&bench.order()).await.unwrap();
    assert_eq!((fetched.bytes, bench.server.count("/file")), (1_200_000, 0));
    bench.is_whole();
}

#[tokio::test]
async fn the_limit_itself_is_allowed_also_when_resumed() {
    let bench = Bench::new();
    let order = Order { max_bytes: 1_200_000, ..bench.order() };
    bench.begin(bench.good()).await;
    bench.server.put("/file", bench.good());
    let error = run(&Order { max_bytes: 1_199_999, ..order.clone() }).await.unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    run(&order).await.unwrap();
    bench.is_whole();
}

#[tokio::test]
async fn cancelling_keeps_what_is_there_and_frees_the_part_at_once() {
    let bench = Bench::new();
    bench.server.put("/file", bench.good().stall_after(500_000));
    let (cancel, cancelled) = watch::channel(false);
    let (progress, mut seen) = watch::channel(Progress::default());
    let order = bench.order();
    let stop = async {
        seen.wait_for(|progress| progress.bytes == 500_000).await.unwrap();
        cancel.send(true).unwrap();
    };
    let (done, ()) = tokio::join!(fetch(&order, cancelled, &progress), stop);
    assert!(matches!(done, Err(Error::Cancelled { .. })), "{done:?}");
    bench.server.put("/file", bench.good());
    run(&order).await.unwrap();
    assert_eq!(bench.ranges(), [None, Some(500_000)]);
    bench.is_whole();
}

#[tokio::test]
async fn cancelling_reaches_every_wait() {
    let bench = Bench::new();
    let hour = Duration::from_hours(1);
    let timeouts = Timeouts { retry_pause: hour, idle: hour, ..Timeouts::default() };
    for reply in [Reply::never(), Reply::status(503)] {
        bench.server.put("/file", reply);
        let (cancel, cancelled) = watch::channel(false);
        let (progress, _) = watch::channel(Progress::default());
        let order = Order { timeouts, tries: 2, ..bench.order() };
        let before = bench.server.count("/file");
        let stop = async {
            while bench.server.count("/file") == before {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            cancel.send(true).unwrap();
        };
        let (done, ()) = tokio::join!(fetch(&order, cancelled, &progress), stop);
        assert!(matches!(done, Err(Error::Cancelled { .. })), "{done:?}");
    }
}

#[tokio::test]
async fn a_part_has_one_writer() {
    let bench = Bench::new();
    bench.begin(bench.good()).await;
    let other = File::open(bench.part()).unwrap();
    other.lock().unwrap();
    bench.server.put("/file", bench.good());
    assert_eq!(run(&bench.order()).await.unwrap_err().code(), Code::LockBusy);
    assert_eq!(fs::read(bench.part()).unwrap(), bench.bytes[..500_000]);
    other.unlock().unwrap();
    run(&bench.order()).await.unwrap();
    bench.is_whole();
}

#[tokio::test]
async fn links_and_odd_files_in_the_place_of_the_part_are_refused() {
    let bench = Bench::new();
    bench.server.put("/file", bench.good());
    let target = bench.folder.path().join("precious");
    fs::write(&target, "precious").unwrap();
    symlink(&target, bench.part()).unwrap();
    assert_eq!(run(&bench.order()).await.unwrap_err().code(), Code::Io);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    fs::remove_file(bench.part()).unwrap();
    assert!(Command::new("mkfifo").arg(bench.part()).status().unwrap().success());
    assert_eq!(run(&bench.order()).await.unwrap_err().code(), Code::Io);
    let nowhere = Order { part: bench.folder.path().join("no/part"), ..bench.order() };
    let error = run(&nowhere).await.unwrap_err().to_string();
    assert!(error.contains("no/part"), "{error}");
    assert_eq!(bench.server.count("/file"), 0);
}

#[tokio::test]
async fn a_part_belongs_to_the_owner_of_its_folder() {
    let bench = Bench::new();
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    chown(bench.folder.path(), Some(1234), Some(1234)).unwrap();
    bench.begin(bench.good()).await;
    for path in [bench.part(), bench.note()] {
        let meta = fs::metadata(path).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (1234, 1234, 0o600));
    }
}

#[tokio::test]
async fn h24_no_room_is_seen_before_the_first_byte() {
    let bench = Bench::new();
    bench.server.put("/file", bench.good().content_length(1 << 60));
    let error = run(&Order { max_bytes: u64::MAX, ..bench.order() }).await.unwrap_err();
    assert_eq!(error.code(), Code::NoRoom, "{error}");
    assert!(error.to_string().contains("nym-node.part"), "{error}");
    assert_eq!(fs::read(bench.part()).unwrap(), b"");
}

#[tokio::test]
async fn h30_a_write_that_fails_is_noticed() {
    let bench = Bench::new();
    let Some(full) = SmallDisk::mount(bench.folder.path()) else { return };
    bench.server.put("/file", bench.good().chunked());
    let order = Order { part: full.0.join("part"), tries: 3, ..bench.order() };
    let error = run(&order).await.unwrap_err();
    assert_eq!(error.code(), Code::NoRoom, "{error}");
    assert_eq!(bench.server.count("/file"), 1, "a full disk is not the network");
}

/// A file system of 256 KiB; only root can have one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(at);
        let is_mounted = command.output().ok()?.status.success();
        is_mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).output().ok();
    }
}

#[tokio::test]
async fn no_credentials_in_errors_or_files() {
    let bench = Bench::new();
    let url = bench.server.url_with("me:secret", "/file");
    let order = Order { url, ..bench.order() };
    for reply in [Reply::status(404), bench.good().cut_after(500_000), Reply::ok("x")] {
        bench.server.put("/file", reply);
        let error = run(&order).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        let note = fs::read_to_string(bench.note()).unwrap_or_default();
        assert!(!note.contains("secret"), "{note}");
    }
    let order = Order { url: "ftp://me:secret@example.org/x".into(), ..order };
    let error = run(&order).await.unwrap_err();
    assert_eq!(error.code(), Code::BadUrl);
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_download_can_be_spawned() {
    fn is_send<T: Send>(_: &T) {}
    let bench = Bench::new();
    let order = bench.order();
    let (progress, _) = watch::channel(Progress::default());
    is_send(&fetch(&order, watch::channel(false).1, &progress));
}

#[tokio::test]
async fn a_slow_but_steady_server_is_waited_for() {
    let bench = Bench::new();
    bench.server.put("/file", bench.good().rate(6_000_000));
    let mut order = bench.order();
    order.timeouts.window = Duration::from_millis(20);
    order.timeouts.window_bytes_min = 1;
    run(&order).await.unwrap();
    bench.is_whole();
}
