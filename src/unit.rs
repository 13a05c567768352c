//! A unit for systemd that fits one instance, as text. What isn't plain in it has a comment there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exit::Exit;

mod word;

pub use word::{Error, word};

use word::{argument, program};

/// Beyond the grace period a stop has small things to do, and a daemon that is killed.
const BEYOND_GRACE: Duration = Duration::from_secs(30);

/// Starting again after these won't help.
const NOT_AGAIN: [Exit; 3] = [Exit::Usage, Exit::Unusable, Exit::RunsAlready];

/// What the unit depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Name of the daemon: `nym-node`.
    pub daemon: String,
    /// Whose the daemon's home is.
    pub user: String,
    /// `nymvisor`, absolute.
    pub program: PathBuf,
    /// The file of `--config-env-file`, absolute.
    pub env_file: Option<PathBuf>,
    /// What the daemon is started with.
    pub daemon_args: Vec<OsString>,
    /// Variables that say which instance it is.
    pub environment: Vec<(&'static str, OsString)>,
    /// The configuration file, absolute.
    pub config_file: PathBuf,
    /// The folders that are written to, absolute; those within others may be among them.
    pub folders: Vec<PathBuf>,
    /// A folder below `/run` that systemd makes and removes: `nymvisor`.
    pub runtime_folder: Option<PathBuf>,
    /// From the polite signal to SIGKILL.
    pub grace: Duration,
}

impl Unit {
    /// The whole file.
    ///
    /// # Errors
    /// A path or an argument that no unit can hold.
    pub fn text(&self) -> Result<String, Error> {
        let folders = self.written()?;
        let mut parts = vec![
            format!("[Unit]\nDescription={}, run and upgraded by nymvisor\n", self.daemon),
            NETWORK.to_owned(),
            format!("RequiresMountsFor={folders}\n\n[Service]\n{NOTIFY}"),
            format!("User={}\nExecStart={}\n", word(self.user.as_ref())?, self.command()?),
        ];
        for (name, value) in &self.environment {
            let mut assignment = OsString::from(format!("{name}="));
            assignment.push(value);
            parts.push(format!("Environment={}\n", word(&assignment)?));
        }
        parts.push(self.endings());
        parts.push(format!("{READ_ONLY}ReadWritePaths={folders}\n"));
        if let Some(folder) = &self.runtime_folder {
            parts.push(format!("{RUNTIME}RuntimeDirectory={}\n", word(folder.as_os_str())?));
        }
        parts.push(self.hidden());
        parts.push(self.capabilities().to_owned());
        parts.push(CLOSED.to_owned());
        parts.push("\n[Install]\nWantedBy=multi-user.target\n".to_owned());
        Ok(parts.concat())
    }

    fn command(&self) -> Result<String, Error> {
        let mut words = vec![program(&self.program)?];
        if let Some(file) = &self.env_file {
            words.push("--config-env-file".to_owned());
            words.push(argument(file.as_os_str())?);
        }
        words.push("run".to_owned());
        // Alone, it would be ours; and one `--` is taken away.
        let is_ours = |first: &OsString| first == "--help" || first == "-h" || first == "--";
        if self.daemon_args.first().is_some_and(is_ours) {
            words.push("--".to_owned());
        }
        for arg in &self.daemon_args {
            words.push(argument(arg)?);
        }
        Ok(words.join(" "))
    }

    /// The folders, without those that lie in others.
    fn written(&self) -> Result<String, Error> {
        let mut tops: Vec<&Path> = self.folders.iter().map(PathBuf::as_path).collect();
        tops.sort_unstable();
        tops.dedup();
        let all = tops.clone();
        tops.retain(|path| !all.iter().any(|other| path != other && path.starts_with(other)));
        let words: Result<Vec<String>, Error> =
            tops.into_iter().map(|path| word(path.as_os_str())).collect();
        Ok(words?.join(" "))
    }

    fn endings(&self) -> String {
        let codes: Vec<String> = NOT_AGAIN.iter().map(|exit| (*exit as u8).to_string()).collect();
        let seconds = (self.grace + BEYOND_GRACE).as_secs();
        format!(
            "# nymvisor asks the daemon itself, once; what is left after the time-out is killed.\n\
             KillMode=mixed\n\
             # The grace period and {} s; a stop that needs longer says so.\n\
             TimeoutStopSec={seconds}\n\
             {RESTART}RestartPreventExitStatus={}\n{LIMITS}",
            BEYOND_GRACE.as_secs(),
            codes.join(" ")
        )
    }

    /// What is kept out of sight, as far as nothing of ours lies there.
    fn hidden(&self) -> String {
        let env_file = self.env_file.as_ref();
        let used = || self.folders.iter().chain([&self.program, &self.config_file]).chain(env_file);
        let lies_in =
            |places: &[&str]| used().any(|path| places.iter().any(|place| path.starts_with(place)));
        let home = if lies_in(&["/home", "/root", "/run/user"]) { "read-only" } else { "yes" };
        let tmp = if lies_in(&["/tmp", "/var/tmp"]) {
            "# Not PrivateTmp=yes: this instance lies in /tmp or /var/tmp.\nPrivateTmp=no\n"
        } else {
            "PrivateTmp=yes\n"
        };
        format!("ProtectHome={home}\n{tmp}")
    }

    fn capabilities(&self) -> &'static str {
        if self.user == "root" { CAPABILITIES_OF_ROOT } else { CAPABILITIES }
    }
}

const NETWORK: &str = "Wants=network-online.target\nAfter=network-online.target\n";

const NOTIFY: &str = "\
# Up once the daemon is; `systemctl status` says what goes on.
Type=notify
NotifyAccess=main
";

const RESTART: &str = "\
Restart=on-failure
RestartSec=30
# A wrong command line, an unusable installation, a second one: starting again won't help.
";

const LIMITS: &str = "\
# Below its own group nymvisor makes one for the daemon, so that nothing of that outlives it.
Delegate=yes
# If the kernel ends the daemon for want of memory, nymvisor starts it again.
OOMPolicy=continue
LimitNOFILE=65536
# A nymvisor that hangs is ended and started anew, and the node with it:
#WatchdogSec=5min

";

const READ_ONLY: &str = "\
# All is read-only but the daemon's home, its versions, and the instance.
ProtectSystem=strict
";

const RUNTIME: &str = "\
# For the socket on which metrics are told; it is below /run.
";

const CAPABILITIES: &str = "\
# Neither set-user-ID programs nor file capabilities count. A daemon that needs ports below 1024 or
# WireGuard gets its capability here, and so does each version to come.
NoNewPrivileges=yes
#AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_ADMIN
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_NET_ADMIN
";

const CAPABILITIES_OF_ROOT: &str = "\
# For the network; and for files that belong to somebody else, and are to stay so in a backup.
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_NET_ADMIN CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER \
CAP_FSETID CAP_SETFCAP CAP_KILL
";

const CLOSED: &str = "\
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# The one device beyond the usual ones is for tunnels.
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
SystemCallArchitectures=native
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
ProtectClock=yes
# All control groups are read-only but that of this service, where it lies as usual. A `Slice=` of
# its own needs its path here.
ProtectControlGroups=yes
ReadWritePaths=-/sys/fs/cgroup/system.slice/%n -/sys/fs/cgroup/unified/system.slice/%n
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Left out: ProtectProc= (nymvisor looks for a node that runs beside it), RestrictSUIDSGID= (a
# backup may hold set-group-ID folders), MemoryDenyWriteExecute= (a version to come may need such
# memory, and would fail only once it runs).
";
