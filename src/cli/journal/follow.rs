//! `journal show --follow`: what comes, as it comes.

use std::io::{self, Write};
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::Book;
use super::show::{self, ShowArgs};
use crate::cli::Error;
use crate::disk::Disk;
use crate::host::watch::{Names, Watch};

/// So many of the records that there are come first, unless told otherwise.
const LAST: usize = 10;

/// Shows what there is and what comes, until a signal or a closed pipe ends it.
pub(super) fn follow(disk: &dyn Disk, book: &mut Book, args: &ShowArgs) -> Result<(), Error> {
    let folder = book.folder();
    let failed = || Error::io("start the runtime on", Path::new("this machine"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed())?;
    let done = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed())?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed())?;
        // Before the first look, so that nothing comes between the two.
        let mut watch = Watch::new(&folder, Names::All);
        let mut last = Some(args.last.unwrap_or(LAST));
        loop {
            let items = book.read(disk)?;
            if !print(&show::lines(&items, args, last.take()))? {
                return Ok(());
            }
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                () = watch.changed() => {}
            }
        }
    });
    runtime.shutdown_background();
    done
}

/// Prints whole lines at once; false once nobody reads them any more.
fn print(lines: &[String]) -> Result<bool, Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(lines.concat().as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).map_err(Error::Stdout),
    }
}
