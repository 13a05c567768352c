//! A program on a terminal.

use std::process::{Command, Output, Stdio};

/// Runs its arguments but the first three, a program with its own, on a terminal of so many rows
/// and columns. Once that shows the third, Ctrl-C is typed. Prints what was told, and ends as the
/// program does.
const TERMINAL: &str = r"
import fcntl, os, pty, struct, sys, termios
rows, columns, when = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
    os.execv(sys.argv[4], sys.argv[4:])
told, typed = b'', not when
while True:
    try:
        read = os.read(terminal, 4096)
    except OSError:
        break
    if not read:
        break
    told += read
    if not typed and when in told:
        os.write(terminal, b'\x03')
        typed = True
sys.stdout.buffer.write(told)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// How a command ended on a terminal of so many rows and columns, and all that was told there.
/// Once that contains `when`, Ctrl-C is typed; never where it is empty.
pub(crate) fn on_terminal(command: &Command, size: (usize, usize), when: &str) -> Output {
    let (rows, columns) = (size.0.to_string(), size.1.to_string());
    let mut python = Command::new("python3");
    python.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    python.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    python.args(["-c", TERMINAL, &rows, &columns, when]);
    python.arg(command.get_program()).args(command.get_args());
    python.stdin(Stdio::null()).output().unwrap()
}
