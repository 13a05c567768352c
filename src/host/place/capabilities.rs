//! File capabilities as `setcap` writes them.

/// Names in the order of their bits, as `<linux/capability.h>` numbers them.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The argument of `setcap` that makes this value of `security.capability`, in quotes, such as
/// `'cap_net_bind_service=ep'`; `None` for a layout that is not known.
///
/// The value is little-endian: a word with revision and the "effective" bit, then permitted and
/// inheritable bits, each low and high half in turn.
pub(super) fn text(value: &[u8]) -> Option<String> {
    let word = |index: usize| -> Option<u64> {
        let bytes = value.get(index * 4..index * 4 + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    let is_effective = word(0)? & 1 == 1;
    let permitted = word(1)? | word(3)? << 32;
    let inheritable = word(2)? | word(4)? << 32;
    let mut clauses = Vec::new();
    for (bits, letters) in [
        (permitted & !inheritable, "p"),
        (inheritable & !permitted, "i"),
        (permitted & inheritable, "ip"),
    ] {
        let names: Vec<String> = (0..64)
            .filter(|bit| bits >> bit & 1 == 1)
            .map(|bit| NAMES.get(bit).map_or(bit.to_string(), |name| format!("cap_{name}")))
            .collect();
        if !names.is_empty() {
            let effective = if is_effective { "e" } else { "" };
            clauses.push(format!("{}={effective}{letters}", names.join(",")));
        }
    }
    Some(format!("'{}'", clauses.join(" ")))
}
