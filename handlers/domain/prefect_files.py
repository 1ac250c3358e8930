"""Files of Prefect's published package that are served: its two web applications, and what it knows of integrations.

`downbeat ui` puts them into one archive of ours. They are compressed there once, for all who ask for them with gzip,
without source maps, and with the paths at which they are served taken out: 4.4 MB of the package's 70. Nothing else of the
package is kept, and nothing of it is run.
"""

import gzip
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import orjson

from schemas.settings import setting

PACKAGE = "prefect==3.8.3"
SHA256 = "be35df044a0f5f1def0e2e9e53291fc470a44898198d65bf6737098ae63f6d78"
V1, V2 = "ui/", "ui-v2/"
VIEWS, BLOCKS = "api/collections_data/views/", "collection_blocks_data.json"
INSIDE = "prefect/server/"
# Stands in the applications wherever a path of theirs begins.
PLACEHOLDER = b"/PREFECT_UI_SERVE_BASE_REPLACE_PLACEHOLDER"
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


class Archive(NamedTuple):
    """An open archive and what is in it, by name."""

    file: BinaryIO
    members: dict[str, ZipInfo]


def archive_path() -> Path:
    """Give the path of the archive: the one that is set, else a place that belongs to this installation."""
    return Path(setting("downbeat.ui_files") or Path(sys.prefix, "share", "downbeat", "ui.zip"))


def install(wheel: str | None = None) -> None:
    """Put the files of a wheel into the archive, of the published one if none is named. Raises RuntimeError saying why not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            pack(Path(wheel) if wheel else download(Path(folder)), archive_path())
        except (OSError, BadZipFile, zlib.error) as error:
            raise RuntimeError(f"The web UI could not be installed: {error}") from None


def download(folder: Path) -> Path:
    """Fetch the package into a folder by pip, without what it depends on, and give its path."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    pip += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), "--requirement", str(wanted)]
    done = subprocess.run(pip, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise RuntimeError(f"The web UI could not be fetched: {said}")
    return next(folder.glob("*.whl"))


def pack(wheel: Path, archive: Path) -> None:
    """Write the archive from a wheel; one that is being served stays as it is for those who serve it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f"{archive.name}.{os.getpid()}")
    try:
        with ZipFile(wheel) as package, ZipFile(partial, "w") as packed:
            for name in package.namelist():
                kept = name.removeprefix(INSIDE)
                if name.startswith(INSIDE) and kept.startswith((V1, V2, VIEWS, BLOCKS)) and not kept.endswith((".map", "/")):
                    pieces = package.read(name).split(PLACEHOLDER)
                    member = ZipInfo(kept)
                    member.comment = b",".join(b"%d" % len(piece) for piece in pieces[:-1])
                    packed.writestr(member, b"".join(pieces), ZIP_DEFLATED)
            if not {f"{V1}index.html", f"{V2}index.html"} <= {*packed.namelist()}:
                raise RuntimeError(f"{wheel} is not a package of Prefect 3 with its two web applications.")
        os.replace(partial, archive)
    finally:
        partial.unlink(missing_ok=True)


@cache
def open_archive(path: Path) -> Archive:
    """Open an archive for the life of the process. Raises FileNotFoundError as long as there is none."""
    file = path.open("rb")
    with ZipFile(file) as packed:
        members = {member.filename: member for member in packed.infolist()}
    return Archive(file, members)


def read_deflated(path: Path, name: str) -> bytes:
    """Give a member as it is stored. Processes share the open file, hence its position is not used."""
    file, members = open_archive(path)
    begin = members[name].header_offset
    header = os.pread(file.fileno(), 30, begin)
    return os.pread(file.fileno(), members[name].compress_size, begin + 30 + sum(struct.unpack_from("<2H", header, 26)))


def read_plain(path: Path, name: str, base: bytes = b"") -> bytes:
    """Give the content of a member, with the base path put where paths begin."""
    content = zlib.decompress(read_deflated(path, name), wbits=-zlib.MAX_WBITS)
    places = open_archive(path).members[name].comment
    if not base or not places:
        return content
    pieces, begin = [], 0
    for length in map(int, places.split(b",")):
        pieces.append(content[begin : begin + length])
        begin += length
    return base.join([*pieces, content[begin:]])


def read_gzipped(path: Path, name: str, base: bytes = b"") -> bytes:
    """Give the content of a member as gzip."""
    member = open_archive(path).members[name]
    if base and member.comment:
        return compress(path, name, base)
    return GZIP_HEADER + read_deflated(path, name) + struct.pack("<2L", member.CRC, member.file_size)


@cache
def compress(path: Path, name: str, base: bytes) -> bytes:
    """Compress a member again because a base path is in it: nine there are, once in a process each, 0.3 s for the largest."""
    return gzip.compress(read_plain(path, name, base), compresslevel=4, mtime=0)


def read_json(name: str) -> dict | None:
    """Give a document of the archive, or None if it is not there."""
    try:
        return orjson.loads(read_plain(archive_path(), name))
    except (FileNotFoundError, KeyError):
        return None
