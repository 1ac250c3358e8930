"""The process between the server and its own PostgreSQL: makes the data, runs ``postgres`` on it and starts it again.

Run by postgres.py as a script, without the packages of the environment, so that it starts in 40 ms and stays small.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

READY = "PostgreSQL is ready."
# initdb chooses 128 MB of shared buffers and 100 connections. jit costs short statements more than it gives.
CONFIGURATION = "\ntimezone = 'UTC'\nlog_timezone = 'UTC'\nlog_checkpoints = off\njit = off\nrandom_page_cost = 1.1\n"
AUTHENTICATION = "local all all scram-sha-256\nhost all all all scram-sha-256\n"
BUILTIN_LOCALE = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
# From linux/prctl.h, linux/sched.h and linux/capability.h.
SET_PARENT_DEATH_SIGNAL, SET_KEEP_CAPABILITIES, AMBIENT_CAPABILITIES, RAISE = 1, 8, 47, 2
NEW_USER_NAMESPACE, CAPABILITY_VERSION, MAY_PASS_FOLDERS = 0x10000000, 0x20080522, 1


def main(options: dict) -> None:
    """Supervise, and tell of a failure; wait ``patience_seconds`` after one, as the next supervisor comes at once."""
    patience_seconds = options.pop("patience_seconds", 0)
    try:
        supervise(**options)
    except (RuntimeError, OSError) as error:
        answer(str(error))
        time.sleep(patience_seconds)
        sys.exit(1)


def supervise(home: str, socket: str, binaries: str, settings: dict[str, str], parent: int) -> None:
    """Run PostgreSQL on a folder until the parent is gone or SIGINT comes; RuntimeError if it cannot be started."""
    home, socket, binaries = Path(home), Path(socket), Path(binaries)
    goes_on = lifeline(parent)
    if not home.exists():
        # Root's is open to pass through, not to look into: PostgreSQL is another user and has private folders in it.
        home.mkdir(parents=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    os.umask(0o077)
    lock = hold_lock(home, parent)
    account, major = choose_account(home, binaries)
    if not (home / "postgres").exists():
        initialise(home, binaries, account, major, settings)
    made_by = int((home / "postgres/PG_VERSION").read_text())
    if made_by != major:
        raise RuntimeError(
            f"The data in {home} was made by PostgreSQL {made_by}, but {binaries} is PostgreSQL {major}. Dump it with"
            f" PostgreSQL {made_by} and restore it in a new folder (DOWNBEAT_HOME), or run that one and set DATABASE_URL."
        )
    make_private(socket, account)
    arguments = {"unix_socket_directories": socket, "listen_addresses": "", "port": 5432, **settings}
    options = [part for name, value in arguments.items() for part in ("-c", f"{name}={value}")]
    keep_running(home, [binaries / "postgres", "-D", home / "postgres", *options], account, lock, goes_on)


def lifeline(parent: int) -> Callable[[float], bool]:
    """Give a function that waits some seconds or for a signal, then tells whether to go on: parent lives, no SIGINT."""
    stopped = []
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
    # A service manager sends SIGTERM to every process of a service, but the requests in flight need the database.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # Only wakes, because it also comes when the thread that started this process ends.
    die_with_parent(signal.SIGHUP)

    def goes_on(seconds):
        if select.select([reader], [], [], seconds)[0]:
            os.read(reader, 1000)
        return not stopped and os.getppid() == parent

    return goes_on


def hold_lock(home: Path, parent: int) -> int:
    """Take a folder's lock and give its descriptor; wait for a PostgreSQL that is ending, RuntimeError if in use."""
    lock = os.open(home / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    begun = time.monotonic()
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(parent).encode(), 0)
            return lock
        holder = int(os.pread(lock, 20, 0) or 0)
        # A holder killed just now may be seen for a moment.
        if time.monotonic() - begun > (1 if holder != parent and lives(holder) else 30):
            raise RuntimeError(
                f"The PostgreSQL data in {home} is in use by process {holder or 'unknown'}. Stop that one first, or set"
                " DOWNBEAT_HOME to another folder, or DATABASE_URL to a database to share."
            )
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Tell whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def choose_account(home: Path, binaries: Path) -> tuple[tuple[int, int, str], int]:
    """Give as whom PostgreSQL runs (uid, gid, way) and its major version, by trying; RuntimeError if no way works.

    PostgreSQL refuses to be root. It then runs as the user postgres or nobody; where that one cannot reach programs or
    data, as root seen as that user inside a user namespace; and where those are forbidden, as is usual in containers,
    as that user with the capability to pass closed folders. Existing data stays with its owner.
    """
    data, uid, gid, ways = home / "postgres", os.geteuid(), os.getegid(), ["same"]
    if uid == 0:
        users = {user.pw_name: user for user in pwd.getpwall()}
        user = users.get("postgres") or users["nobody"]
        uid, gid, ways = user.pw_uid, user.pw_gid, ["user", "namespace", "capability"]
        if data.exists():
            owner = data.stat()
            ways = ["user", "capability"] if owner.st_uid else ["namespace"]
            uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid else (uid, gid)
    reasons = []
    for account in ((uid, gid, way) for way in ways):
        try:
            text = subprocess.check_output([binaries / "postgres", "--version"], text=True, **child(home, account))
            return account, int(re.search(r"\d+", text)[0])
        except (OSError, subprocess.SubprocessError) as error:
            reasons.append(f"{account[2]}: {error}")
    raise RuntimeError(f"{binaries}/postgres cannot be run on {home} ({'; '.join(reasons)}).")


def child(home: Path, account: tuple[int, int, str]) -> dict:
    """Give the arguments of subprocess for a program that runs as an account and dies with this process."""
    supervisor, (uid, gid, way) = os.getpid(), account

    def prepare():
        if way == "namespace":
            enter_namespace(uid, gid)
        elif way != "same":
            change_user(uid, gid, keep_capability=way == "capability")
        os.chdir(home)
        # After the change of user, which clears it. SIGINT is PostgreSQL's fast shutdown.
        die_with_parent(signal.SIGINT)
        if os.getppid() != supervisor:
            os._exit(1)

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {"preexec_fn": prepare, "env": environment | {"LC_ALL": "C", "TZ": "UTC"}}


def die_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent ends (Linux; elsewhere lifeline looks each second)."""
    if sys.platform == "linux":
        ask_kernel("prctl", SET_PARENT_DEATH_SIGNAL, number, 0, 0, 0)


def enter_namespace(uid: int, gid: int) -> None:
    """Go into a user namespace in which this process's user and group are seen as others."""
    lines = {"uid_map": f"{uid} {os.geteuid()} 1", "setgroups": "deny", "gid_map": f"{gid} {os.getegid()} 1"}
    ask_kernel("unshare", NEW_USER_NAMESPACE)
    for name, line in lines.items():
        Path("/proc/self", name).write_text(line)


def change_user(uid: int, gid: int, keep_capability: bool) -> None:
    """Become another user, if wanted with the capability to pass folders that are closed to it."""
    ask_kernel("prctl", SET_KEEP_CAPABILITIES, int(keep_capability), 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keep_capability:
        mask = 1 << MAY_PASS_FOLDERS
        header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)(mask, mask, mask)
        ask_kernel("capset", header, sets)
        ask_kernel("prctl", AMBIENT_CAPABILITIES, RAISE, MAY_PASS_FOLDERS, 0, 0)


def ask_kernel(function: str, *arguments) -> None:
    """Call a function of the C library that gives 0 or sets errno; OSError then."""
    arguments = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments):
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


def initialise(home: Path, binaries: Path, account: tuple[int, int, str], major: int, settings: dict[str, str]) -> None:
    """Make the data and its password, in a folder that gets its name when complete."""
    fresh = home / "postgres.new"
    if fresh.exists():
        # Imported here because it brings the compression libraries, 2 MB for the life of this process.
        import shutil

        shutil.rmtree(fresh)
    make_private(fresh, account)
    password = os.urandom(24).hex()
    (home / "pgpass").write_text(f"*:*:*:postgres:{password}\n")
    # initdb asks for a password with any method but this; the file is replaced below.
    arguments = ["--username=postgres", "--auth=reject", "--encoding=UTF8"]
    # Before PostgreSQL 17 the locale has to be one of the system's.
    arguments += BUILTIN_LOCALE if major >= 17 else ["--locale=C.UTF-8"]
    arguments += ["--no-sync"] if settings.get("fsync") == "off" else []
    run([binaries / "initdb", "-D", fresh, *arguments], "", home, account)
    (fresh / "pg_hba.conf").write_text(AUTHENTICATION)
    with (fresh / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION)
    statements = f"ALTER ROLE postgres PASSWORD '{password}'\nCREATE DATABASE downbeat\n"
    run([binaries / "postgres", "--single", "-D", fresh, "postgres"], statements, home, account)
    fresh.rename(home / "postgres")


def run(command: list, text: str, home: Path, account: tuple[int, int, str]) -> None:
    """Run a program to its end with a text on its standard input; RuntimeError with its words if it fails."""
    pipe = subprocess.PIPE
    done = subprocess.run(command, input=text, stdout=pipe, stderr=subprocess.STDOUT, text=True, **child(home, account))
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}")


def make_private(folder: Path, account: tuple[int, int, str]) -> None:
    """Make a folder for the account alone; RuntimeError if there is one of another's, as may happen below /tmp."""
    uid, gid, way = account
    owner = os.geteuid() if way == "namespace" else uid
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if owner != os.geteuid():
            os.chown(folder, owner, gid)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise RuntimeError(f"The folder {folder} has to be private to PostgreSQL. Remove it and start again.")


def keep_running(home: Path, command: list, account: tuple[int, int, str], lock: int, goes_on: Callable) -> None:
    """Start PostgreSQL, answer when it is ready, start it again whenever it ends, and end it when told not to go on."""
    data, log_file, answered, delay = home / "postgres", home / "postgres.log", False, 0.1
    if log_file.exists() and log_file.stat().st_size > 10_000_000:
        log_file.replace(home / "postgres.log.1")
    while goes_on(0):
        forget_recycled_pid(data)
        begun = time.monotonic()
        with log_file.open("ab") as log:
            log_start = log.tell()
            # All processes of PostgreSQL inherit the lock, so it is free when the last of them is gone and not before.
            files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "pass_fds": [lock]}
            process = subprocess.Popen(command, **files, **child(home, account))
        while process.poll() is None and not is_ready(data, process.pid) and goes_on(0.003):
            pass
        if process.poll() is not None and not answered:
            words = log_file.read_bytes()[log_start:].decode(errors="replace")
            raise RuntimeError(f"PostgreSQL does not start on {home}:\n{words[-2000:]}")
        answered = answered or answer(READY)
        while goes_on(1) and process.poll() is None:
            pass
        if process.poll() is None:
            os.ftruncate(lock, 0)
            shut_down(process)
            return
        tell(2, f"PostgreSQL (process {process.pid}) ended with {process.returncode}, see {log_file}. Starting it again.")
        delay = 0.1 if time.monotonic() - begun > 10 else min(2 * delay, 1)
        goes_on(delay)


def is_ready(data: Path, pid: int) -> bool:
    """Tell whether the PostgreSQL of this process number says that it accepts connections."""
    with contextlib.suppress(FileNotFoundError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"
    return False


def forget_recycled_pid(data: Path) -> None:
    """Remove postmaster.pid if the process it names has another folder than the data and so is not its PostgreSQL.

    PostgreSQL takes the file for stale only if no such process exists, but in a container started anew the number is
    often another's.
    """
    with contextlib.suppress(FileNotFoundError, IndexError):
        pid = (data / "postmaster.pid").read_text().split()[0]
        with contextlib.suppress(OSError):
            if os.path.samefile(f"/proc/{pid}/cwd", data):
                return
        if Path("/proc/self").exists():
            (data / "postmaster.pid").unlink()


def shut_down(process: subprocess.Popen) -> None:
    """End PostgreSQL by its fast shutdown, or harder if that lasts more than 20 seconds."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            return


def answer(message: str) -> bool:
    """Tell the process that waits in postgres.start how it went, True; nothing can be said there afterwards."""
    tell(1, message)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return True


def tell(descriptor: int, message: str) -> None:
    """Write a line to a descriptor whose reader may be gone."""
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{message}\n".encode())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
