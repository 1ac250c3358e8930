"""The PostgreSQL that Downbeat runs for itself: real ones in temporary folders, killed in every way."""

import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from sql import postgres, supervisor
from tests.waiting import wait_until

SQL = Path(postgres.__file__).parent
QUICK = {"fsync": "off"}
# A server process in short. It imports the launcher alone, which any Python can without the project's packages.
SERVER = """
import json, os, sys
sys.path[:0] = json.loads(sys.argv[1])
import postgres
if "replace" in sys.argv:
    postgres.replace_lost_supervisors()
try:
    url = postgres.start(sys.argv[2], {"fsync": "off"})
    print(url, *[process.pid for process, options in postgres.SUPERVISORS.values()], flush=True)
except RuntimeError as error:
    sys.exit(str(error))
while sys.stdin.readline():
    pass
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the data of a PostgreSQL that has been stopped."""
    home = tmp_path_factory.mktemp("made")
    postgres.start(home, QUICK)
    postgres.stop(home)
    return home


@pytest.fixture
def home(made, tmp_path):
    """A folder with new data, at rest."""
    folder = tmp_path / "home"
    subprocess.run(["cp", "-a", made, folder], check=True)
    yield folder
    postgres.stop(folder)


@pytest.fixture
def open_folder():
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    postgres.stop(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture
def serve():
    """A function that starts a server process on a folder and gives it with its URL and the pid of its supervisor."""
    servers = []

    def start(home, *arguments, python=sys.executable, **options):
        wheel = str(Path(postgres.binaries()).parents[2])
        command = [python, "-c", SERVER, f'["{SQL}", "{wheel}"]', str(home), *arguments]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        url, pid = server.stdout.readline().split()
        servers.append((server, int(pid)))
        return server, url, int(pid)

    yield start
    for server, supervisor_pid in servers:
        server.stdin.close()
        server.stdout.close()
        server.wait()
        wait_until(lambda pid=supervisor_pid: is_gone(pid))


def is_gone(pid):
    """Tell whether there is no process of this number, or only what waits to be reaped."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return not state.strip() or state.startswith("Z")


def postmaster_pid(home):
    """Give the process number of the PostgreSQL of a folder."""
    return int((home / "postgres/postmaster.pid").read_text().split()[0])


def ask(url, statement):
    """Run a statement on a connection of its own and give its first value, or None if there is none."""
    with psycopg.connect(url) as conn:
        cursor = conn.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def answers(url):
    """Tell whether the database answers."""
    try:
        return ask(url, "SELECT true")
    except psycopg.OperationalError:
        return False


def test_keeps_what_was_written_over_a_stop_and_a_start(home):
    url = postgres.start(home, QUICK)
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.stop(home)
    assert not answers(url)
    assert "database system is shut down" in (home / "postgres.log").read_text()
    assert postgres.start(home, QUICK) == url
    assert ask(url, "SELECT answer FROM kept") == 42


def test_starting_again_what_this_process_has_started_gives_the_same_one(home):
    url = postgres.start(home, QUICK)
    pid = postmaster_pid(home)
    assert postgres.start(home, QUICK) == url
    assert postmaster_pid(home) == pid


def test_sorts_by_code_point_and_speaks_utf8_and_utc(home):
    url = postgres.start(home, QUICK)
    assert ask(url, "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{a,B,b,A}'::text[]) AS x") == "ABab"
    assert ask(url, "SELECT upper('é')") == "É"
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SHOW timezone") == "UTC"


def test_writes_are_durable_unless_asked_otherwise(home):
    assert ask(postgres.start(home), "SELECT current_setting('fsync') || current_setting('synchronous_commit')") == "onon"


def test_can_be_begun_before_it_is_waited_for(home):
    postgres.begin(home, QUICK)
    assert answers(postgres.start(home))


@as_root
def test_root_becomes_another_user_where_that_one_reaches_the_data(open_folder):
    if not all(folder.stat().st_mode & 0o001 for folder in postgres.binaries().parents):
        pytest.skip("the programs are in a folder that is closed to other users")
    url = postgres.start(open_folder / "home", QUICK)
    owner = (open_folder / "home/postgres").stat().st_uid
    assert owner != 0
    assert Path("/proc", str(postmaster_pid(open_folder / "home"))).stat().st_uid == owner
    assert answers(url)


@as_root
def test_root_in_a_closed_folder_is_another_in_a_user_namespace(tmp_path):
    tmp_path.chmod(0o700)
    try:
        url = postgres.start(tmp_path / "home", QUICK)
    except RuntimeError as error:
        pytest.skip(f"no user namespaces here: {error}")
    if (tmp_path / "home/postgres").stat().st_uid != 0:
        pytest.skip("no user namespaces here: PostgreSQL was given a capability")
    assert answers(url)
    postgres.stop(tmp_path / "home")


@as_root
@pytest.mark.parametrize("way", ["user", "capability"])
def test_only_a_user_with_the_capability_passes_closed_folders(tmp_path, way):
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home/file").write_text("reached")
    nobody = pwd.getpwnam("nobody")
    program = ["sh", "-c", f"id -u; cat {tmp_path}/home/file"]
    arguments = supervisor.child(tmp_path / "home", (nobody.pw_uid, nobody.pw_gid, way))
    if way == "user":
        with pytest.raises(subprocess.SubprocessError):
            subprocess.check_output(program, **arguments)
    else:
        assert subprocess.check_output(program, text=True, **arguments) == f"{nobody.pw_uid}\nreached"


def test_a_plain_user_can_start_it(open_folder, serve):
    if os.geteuid() != 0:
        _, url, _ = serve(open_folder / "home")
        assert answers(url)
        return
    user = pwd.getpwnam("nobody")
    os.chown(open_folder, user.pw_uid, user.pw_gid)
    options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}
    for python in (sys.executable, "/usr/bin/python3"):
        command = [python, "-c", f"import sys; open('{SQL}/postgres.py'); sys.exit(sys.version_info < (3, 10))"]
        try:
            if subprocess.run(command, capture_output=True, **options).returncode == 0:
                break
        except OSError:
            continue
    else:
        pytest.skip("the user nobody reaches no Python, or not the project")
    _, url, supervisor_pid = serve(open_folder / "home", python=python, **options)
    assert Path("/proc", str(supervisor_pid)).stat().st_uid == user.pw_uid
    assert (open_folder / "home").stat().st_mode & 0o777 == 0o700
    # Root cannot read another user's password file through libpq, which wants it to be its own.
    password = (open_folder / "home/pgpass").read_text().strip().rsplit(":")[-1]
    with psycopg.connect(url, password=password) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("postgres",)


@pytest.mark.parametrize("victims", ["server", "server and supervisor"])
def test_ends_with_a_killed_server_and_starts_again_at_once_with_its_rows(home, serve, victims):
    server, url, supervisor_pid = serve(home)
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    pid = postmaster_pid(home)
    if victims == "server and supervisor":
        os.kill(supervisor_pid, signal.SIGKILL)
    server.kill()
    server.wait()
    _, url, _ = serve(home)
    assert is_gone(pid)
    assert is_gone(supervisor_pid)
    assert ask(url, "SELECT answer FROM kept") == 42


def test_the_lock_is_held_until_the_last_process_of_postgres_is_gone(home, serve):
    server, _, supervisor_pid = serve(home)
    pid = postmaster_pid(home)
    os.kill(pid, signal.SIGSTOP)
    try:
        os.kill(supervisor_pid, signal.SIGKILL)
        server.kill()
        server.wait()
        wait_until(lambda: is_gone(supervisor_pid))
        with (home / "postgres.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        postgres.begin(home, QUICK)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert answers(postgres.start(home, QUICK))
    assert is_gone(pid)


def test_everything_is_gone_after_the_server_was_killed(home, serve):
    server, url, supervisor_pid = serve(home)
    pid = postmaster_pid(home)
    server.kill()
    wait_until(lambda: is_gone(pid) and is_gone(supervisor_pid))
    assert not answers(url)


def test_comes_back_by_itself_when_postgres_is_killed(home):
    url = postgres.start(home, QUICK)
    ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    for _ in range(2):
        pid = postmaster_pid(home)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda killed=pid: is_gone(killed) and answers(url))
        assert ask(url, "SELECT answer FROM kept") == 42


def test_the_supervisor_outlasts_a_sigterm_as_the_server_ends_its_requests_then(home):
    url = postgres.start(home, QUICK)
    process, _ = postgres.SUPERVISORS[home]
    process.terminate()
    pid = postmaster_pid(home)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: is_gone(pid) and answers(url))
    assert process.poll() is None


def test_a_killed_supervisor_is_replaced_and_its_postgres_too(home, serve):
    server, url, supervisor_pid = serve(home, "replace")
    for _ in range(2):
        pid = postmaster_pid(home)
        os.kill(supervisor_pid, signal.SIGKILL)
        wait_until(lambda killed=pid: is_gone(killed) and answers(url))
        found = subprocess.check_output(["ps", "-o", "ppid=", "-p", str(postmaster_pid(home))], text=True)
        assert int(found) != supervisor_pid
        supervisor_pid = int(found)
        assert int(subprocess.check_output(["ps", "-o", "ppid=", "-p", found.strip()], text=True)) == server.pid


def test_a_second_start_on_the_same_data_names_the_process_that_has_it(home, serve):
    server, url, _ = serve(home)
    with pytest.raises(RuntimeError, match=f"{home} is in use by process {server.pid}"):
        postgres.start(home, QUICK)
    assert answers(url)


def test_data_of_another_major_version_is_refused(home):
    version = home / "postgres/PG_VERSION"
    made_by = version.read_text()
    version.write_text("13\n")
    with pytest.raises(RuntimeError, match=f"made by PostgreSQL 13, but .* is PostgreSQL {made_by.strip()}"):
        postgres.start(home, QUICK)
    version.write_text(made_by)
    assert answers(postgres.start(home, QUICK))


def test_a_postgres_that_does_not_start_says_why(home):
    with pytest.raises(RuntimeError, match='unrecognized configuration parameter "no_such_setting"'):
        postgres.start(home, {"no_such_setting": "1"})
    assert answers(postgres.start(home, QUICK))


def test_a_process_that_was_given_the_number_of_a_dead_postgres_is_no_hindrance(home):
    (home / "postgres/postmaster.pid").write_text(f"{os.getpid()}\n{home}/postgres\n1\n5432\n\n\n\nready\n")
    assert answers(postgres.start(home, QUICK))


def test_what_an_interrupted_initialisation_left_is_made_anew(tmp_path):
    (tmp_path / "home/postgres.new").mkdir(parents=True)
    (tmp_path / "home/postgres.new/PG_VERSION").write_text("18\n")
    assert answers(postgres.start(tmp_path / "home", QUICK))
    postgres.stop(tmp_path / "home")


def test_the_socket_is_private_and_nothing_listens_on_tcp(home):
    url = postgres.start(home, QUICK)
    for private in ("socket", "postgres", "pgpass"):
        assert (home / private).stat().st_mode & 0o077 == 0
    assert ask(url, "SHOW unix_socket_directories") == str(home / "socket")
    assert ask(url, "SHOW listen_addresses") == ""


@pytest.mark.parametrize("host", ["socket", "127.0.0.1"])
def test_nobody_gets_in_without_the_password(home, host):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = postgres.start(home, {**QUICK, "listen_addresses": "127.0.0.1", "port": port})
    place = {"host": home / "socket" if host == "socket" else host, "port": port}
    with psycopg.connect(url, **place) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    for password in ("", "guess"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url, passfile="/dev/null", password=password, **place)


def test_a_path_too_long_for_a_socket_has_it_in_a_private_folder_elsewhere(made, tmp_path):
    home = tmp_path / ("long" * 30)
    subprocess.run(["cp", "-a", made, home], check=True)
    place = postgres.socket_folder(home)
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    try:
        with pytest.raises(RuntimeError, match="has to be private"):
            postgres.start(home, QUICK)
        place.rmdir()
        assert answers(postgres.start(home, QUICK))
        assert place.stat().st_mode & 0o777 == 0o700
    finally:
        postgres.stop(home)
        shutil.rmtree(place)


def test_the_psql_command_opens_the_database(home):
    postgres.start(home, QUICK)
    command = postgres.psql_command(home) + " -XAtc 'SELECT current_database()'"
    assert subprocess.check_output(command, shell=True, text=True) == "downbeat\n"


def test_data_is_in_the_folder_given_or_usual(monkeypatch):
    assert postgres.home_folder(Path("/given")) == Path("/given")
    monkeypatch.setenv("XDG_DATA_HOME", "/share")
    assert postgres.home_folder() == Path("/share/downbeat")


def test_without_the_wheel_the_newest_postgresql_of_the_system_is_taken(monkeypatch):
    found = sorted(int(folder.parent.name) for folder in Path("/usr/lib/postgresql").glob("*/bin"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    if not found:
        pytest.skip("the system has no PostgreSQL in /usr/lib/postgresql")
    assert postgres.binaries() == Path("/usr/lib/postgresql", str(found[-1]), "bin")
