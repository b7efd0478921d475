"""The files of a zip or a folder that an LMS hands over, each with how to read it; nothing is unpacked.

    for path, load in entries(Path("submissions.zip"), delivery): ...     # load() gives a notebook's bytes

Names are only read; what points outside, is a link, is too large or damaged is told to `delivery`.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from course.grade.reading import MAX_FILE, Unreadable, read_bytes
from course.messages import CourseError, message
from course.plain import printable

if TYPE_CHECKING:
    from course.grade.delivery import Delivery

MAX_ENTRIES = 50_000
MAX_TOTAL = 20_000_000_000  # bytes of all notebooks together; one at a time is in memory
MAX_DEPTH = 8
UTF8 = 0x800  # the flag of a zip's member whose name says that it is UTF-8

_IGNORED = ("__MACOSX", ".ipynb_checkpoints")

Load = Callable[[], bytes | None]  # reads a file's bytes when they are needed; None where that fails


def entries(source: Path, delivery: Delivery) -> Iterator[tuple[str, Load | None]]:
    """Each file's path, with slashes, and how to read it; None for one that is no notebook, or too large."""
    try:
        if source.is_dir():
            yield from _of_folder(source, delivery)
            return
        if not source.is_file():
            raise CourseError("grade.from-missing", file=source)
        with zipfile.ZipFile(source) as archive:
            yield from _of_zip(archive, delivery, source)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, UnicodeDecodeError, NotImplementedError):
        raise CourseError("grade.from-not-a-zip", file=source) from None
    except OSError as error:
        raise CourseError(
            "grade.from-not-readable", file=source, what=error.strerror or type(error).__name__
        ) from None


def _of_zip(archive: zipfile.ZipFile, delivery: Delivery, source: Path) -> Iterator:
    members = [member for member in archive.infolist() if member.filename and not member.is_dir()]
    notebooks = [member for member in members if is_notebook(member.filename)]
    size = sum(min(member.file_size, MAX_FILE) for member in notebooks)
    if len(members) > MAX_ENTRIES or size > MAX_TOTAL:
        raise CourseError("grade.from-too-much", file=source)
    for member in members:
        name = unicodedata.normalize("NFC", _name_of(member))
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or set(parts) & set(_IGNORED) or parts[-1].startswith("."):
            continue
        if ".." in parts or name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or "\0" in name:
            delivery.note("outside", file=shown(name))
        elif stat.S_ISLNK(member.external_attr >> 16):
            delivery.note("link", file=shown(name))
        elif not is_notebook(name):
            yield name, None
        elif member.file_size > MAX_FILE:
            delivery.note("too-large", file=shown(name))
            yield name, None
        else:
            yield name, partial(_unpacked, source, member, name, delivery)


def _unpacked(source: Path, member: zipfile.ZipInfo, name: str, delivery: Delivery) -> bytes | None:
    try:
        with zipfile.ZipFile(source) as archive, archive.open(member) as stream:
            return stream.read(MAX_FILE + 1)
    except Exception as error:  # zlib.error and its like, of which every method has its own
        delivery.note("damaged", file=shown(name), what=type(error).__name__)
        return None


def _read(file: Path, name: str, delivery: Delivery) -> bytes | None:
    try:
        return read_bytes(file)
    except Unreadable as error:
        delivery.notes.append(message(f"grade.{error}", file=shown(name)))
        return None


def _name_of(member: zipfile.ZipInfo) -> str:
    """A file's name; Info-ZIP writes UTF-8 without saying so, which zipfile takes for DOS letters."""
    if not member.flag_bits & UTF8:
        try:
            return member.filename.encode("cp437").decode()
        except UnicodeError:
            pass
    return member.filename


def _of_folder(source: Path, delivery: Delivery) -> Iterator:
    count = total = 0
    for folder, folders, files in os.walk(source):
        here = Path(folder)
        inside = here.relative_to(source)
        for name in [name for name in folders if (here / name).is_symlink()]:
            delivery.note("link", file=shown((inside / name).as_posix()))
        folders[:] = sorted(
            name for name in folders if name not in _IGNORED and not (here / name).is_symlink()
        )
        if len(inside.parts) >= MAX_DEPTH:
            folders.clear()
        for name in sorted(files):
            if name.startswith("."):
                continue
            count += 1
            path = unicodedata.normalize("NFC", (inside / name).as_posix())
            load = partial(_read, here / name, path, delivery) if is_notebook(name) else None
            total += min((here / name).lstat().st_size, MAX_FILE) if load else 0
            if count > MAX_ENTRIES or total > MAX_TOTAL:
                raise CourseError("grade.from-too-much", file=source)
            yield path, load


def is_notebook(name: str) -> bool:
    return name.lower().endswith(".ipynb")


def shown(name: object) -> str:
    """A name from outside, briefly and so that a terminal obeys none of it."""
    return printable(str(name))[:120]
