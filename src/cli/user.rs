//! Who runs a command, and whether that is who should.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

use super::Error;
use crate::config::{self, Env};
use crate::machine::Requester;

/// The user who runs this command; behind `sudo`, the one who called it.
pub(super) fn requester(env: &Env) -> Requester {
    let own = Uid::effective();
    let sudo_uid = env.get("SUDO_UID").and_then(|uid| uid.to_str()?.parse().ok());
    let sudo_user = env.get("SUDO_USER").and_then(|user| user.to_str());
    match (sudo_uid, sudo_user) {
        (Some(uid), Some(user)) if own.is_root() => {
            Requester::Command { uid, user: user.to_owned() }
        }
        _ => Requester::Command { uid: own.as_raw(), user: name_of(own) },
    }
}

/// Refuses a user, other than root, to whom one of these does not belong.
///
/// Root's files are given to the owner of the folder; nobody else could do that.
pub(super) fn check_owner<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Error> {
    let own = Uid::effective();
    if own.is_root() {
        return Ok(());
    }
    for path in paths {
        // What isn't there yet, or can't be seen, is found out by whoever needs it.
        let Ok(meta) = std::fs::metadata(path) else { continue };
        if meta.uid() != own.as_raw() {
            let owner = name_of(Uid::from_raw(meta.uid()));
            let text = format!(
                "{} belongs to the user '{owner}', and you are '{}'; run this as '{owner}' \
                 (sudo -u {owner} …) or as root",
                path.display(),
                name_of(own)
            );
            return Err(Error::Refused(text));
        }
    }
    Ok(())
}

/// Says whose a configuration is, where that is why it can't be read.
pub(super) fn explained(error: Error) -> Error {
    let Error::Config(config::Error::Unreadable { path, source }) = &error else { return error };
    if source.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    check_owner([path.as_path()]).err().unwrap_or(error)
}

/// The user's name, or the id in digits where it has none.
pub(super) fn name_of(uid: Uid) -> String {
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}
