//! What a command is told, as variables of its environment.

use std::ffi::OsString;

use super::super::Setup;
use super::named;
use crate::machine::HookCall;

/// What tells every command of the operator's which instance it is about. With the path of the
/// configuration a `nymvisor` that it calls means the same one.
pub(in crate::host::local) fn of_instance(setup: &Setup) -> Vec<(OsString, OsString)> {
    let paths = &setup.paths;
    vec![
        variable("NYMVISOR_INSTANCE", &setup.config.nymvisor.id),
        variable("NYMVISOR_CONFIG_PATH", paths.config_file()),
        variable("DAEMON_HOME", paths.home()),
        variable("DAEMON_NAME", &setup.config.daemon.name),
    ]
}

/// What one run is about. What there is nothing to say of is not set.
pub(super) fn of_call(setup: &Setup, call: &HookCall) -> Vec<(OsString, OsString)> {
    let mut all = of_instance(setup);
    all.push(variable("NYMVISOR_HOOK", call.hook.name()));
    all.push(variable("NYMVISOR_PHASE", call.phase.to_string()));
    all.push(variable("NYMVISOR_TO_NAME", &call.to.name));
    all.push(variable("NYMVISOR_TO_VERSION", &call.to.version));
    if let Some(name) = named(&call.to.name) {
        all.push(variable("NYMVISOR_BINARY", setup.paths.binary(&name)));
    }
    if let Some(from) = &call.from {
        all.push(variable("NYMVISOR_FROM_NAME", &from.name));
        all.push(variable("NYMVISOR_FROM_VERSION", &from.version));
    }
    if let Some(upgrade) = &call.upgrade {
        all.push(variable("NYMVISOR_UPGRADE_NAME", &upgrade.name));
        let info = named(&upgrade.name).map(|name| setup.paths.upgrade_info(&name));
        all.extend(info.map(|info| variable("NYMVISOR_UPGRADE_INFO", info)));
    }
    if let Some(backup) = &call.backup {
        all.push(variable("NYMVISOR_BACKUP", &backup.path));
    }
    if let Some(failure) = &call.failure {
        let code = serde_json::to_value(failure.code).unwrap_or_default();
        all.push(variable("NYMVISOR_FAILURE_CODE", code.as_str().unwrap_or_default()));
        all.push(variable("NYMVISOR_FAILURE_TEXT", failure.text.replace('\0', " ")));
    }
    all.extend(call.next.map(|next| variable("NYMVISOR_FAILURE_NEXT", next.name())));
    all
}

fn variable(name: &str, value: impl Into<OsString>) -> (OsString, OsString) {
    (name.into(), value.into())
}
