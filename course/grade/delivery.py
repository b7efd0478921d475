"""What an LMS hands over, a zip or a folder of files, into nbgrader's `submitted/`.

    delivery = deliver(Path("downloads/18-01.zip"), root, lesson)
    delivery.students      # whose work was laid in submitted/<student>/<assignment>/
    delivery.notes         # sentences: what was left out and why, what was replaced

Names that are understood:

    Ana García_4711_assignsubmission_file_/did-it-start.ipynb       Moodle, a folder a student
    Ana García_4711_assignsubmission_file_did-it-start.ipynb        Moodle, one folder
    garciaana_LATE_1234_98765_did-it-start-1.ipynb                  Canvas
    ana/18-01-did-it-start/did-it-start.ipynb, ana/anything.ipynb   nbgrader, or a folder a student
    ana.ipynb, ana_did-it-start.ipynb                               a file a student

Nothing is ever unpacked under a name that comes from outside: names are only read, files of a notebook's
size are copied, links are refused. If the gradebook has a class list (names or LMS numbers, as `nbgrader db
student import` writes them), a submission of nobody on it stays where it is. Of several notebooks of one
student those count in which somebody worked. What lay in `submitted/` before is moved to
`submitted/.earlier/`, never overwritten; what cannot be read goes to `submitted/.unreadable/` where there is
something better.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from nbformat import NotebookNode

from course.grade.normalise import normalised, worked
from course.grade.reading import Unreadable, read_bytes
from course.grade.unpack import Load, entries, is_notebook, shown
from course.lesson import Lesson
from course.messages import message

MAX_NAME = 60  # characters of a student's id made from a file name

_MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_[a-z]+(?:_(?P<file>.*))?")
_CANVAS = re.compile(r"(?P<name>[^_]+?)(?P<late>_LATE)?_(?P<number>\d+)_\d+_(?P<file>.+)")
Releases = dict[str, NotebookNode]


@dataclass
class Delivery:
    """What came of it."""

    students: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, key: str, **values: object) -> None:
        """Say something to the teacher."""
        self.notes.append(message(f"grade.from-{key}", **values))


@dataclass(frozen=True)
class Student:
    """One line of the class list."""

    id: str
    first_name: str = ""
    last_name: str = ""
    lms: str = ""


@dataclass(frozen=True)
class _Sender:
    """Whom a file's name speaks of; `number` tells namesakes apart, `lms` is a person's number anywhere."""

    name: str
    file: str
    number: str = ""
    lms: str = ""
    late: bool = False


def deliver(
    source: Path, root: Path, lesson: Lesson, roster: list[Student], releases: Releases | None = None
) -> Delivery:
    """Lay the notebooks of a zip or folder below `root/submitted`; `releases` tell work from a blank copy.

    Raises:
        CourseError: there is no such file, it is neither a folder nor a zip, or it holds too much.
    """
    delivery = Delivery()
    found: dict[_Sender, list[tuple[str, Load]]] = {}
    names = (lesson.assignment, lesson.id, lesson.slug)
    for path, load in entries(source, delivery):
        sender = _sender(path, names)
        if not is_notebook(path) and not (sender and sender.number):
            continue  # a list, a note: nobody's work
        if sender is None:
            delivery.note("nobody", file=shown(path))
        elif load is None:
            found.setdefault(sender, [])
        else:
            found.setdefault(sender, []).append((sender.file, load))
    people = _people(found, roster, delivery)
    for student in sorted(people):
        files = [(name, content) for name, load in people[student] if (content := load()) is not None]
        _lay_out(student, files, root, lesson, delivery, releases)
    return delivery


def _people(found: dict, roster: list[Student], delivery: Delivery) -> dict[str, list[tuple[str, Load]]]:
    """Bring files of one person together under the id that nbgrader knows, or shall know, them by."""
    index = _Index(roster)
    numbers: dict[str, set[str]] = {}
    for sender in found:
        numbers.setdefault(_folded(sender.name), set()).add(sender.number)
    people: dict[str, list[tuple[str, Load]]] = {}
    for sender, files in found.items():
        student = index.find(sender)
        if student is None and index.is_class_list:
            delivery.note("unknown", name=shown(sender.name), file=shown(sender.file))
            continue
        if student is None:
            namesakes = len(numbers[_folded(sender.name)]) > 1
            student = _id(f"{sender.name}-{sender.number}" if namesakes else sender.name)
        if not student:
            delivery.note("nobody", file=shown(sender.file))
            continue
        if sender.late:
            delivery.note("late", student=student)
        people.setdefault(student, []).extend(files)
    return people


class _Index:
    """Finds people of the class list by id, by name in either order, and by their number in the LMS."""

    def __init__(self, roster: list[Student]):
        self.is_class_list = any(s.first_name or s.last_name or s.lms for s in roster)
        self._numbers = {student.lms: student.id for student in roster if student.lms}
        self._ids = {student.id for student in roster}
        self._exact: dict[str, set[str]] = {}  # with accents: José is not Jose, where there are both
        self._folded: dict[str, set[str]] = {}
        for s in roster:
            for name in {s.id, s.first_name + s.last_name, s.last_name + s.first_name}:
                self._exact.setdefault(_exact(name), set()).add(s.id)
                self._folded.setdefault(_folded(name), set()).add(s.id)

    def find(self, sender: _Sender) -> str | None:
        """The id, where that is certain: of two people of one name, neither."""
        if sender.lms in self._numbers:
            return self._numbers[sender.lms]
        if sender.name in self._ids:
            return sender.name
        for fold, names in ((_exact, self._exact), (_folded, self._folded)):
            name = fold(sender.name)
            namesakes = names.get(name, ()) if name else ()
            if len(namesakes) == 1:
                return next(iter(namesakes))
        return None


def _lay_out(
    student: str, files: list, root: Path, lesson: Lesson, delivery: Delivery, releases: Releases | None
) -> None:
    folder = root / "submitted" / student
    target = folder / lesson.assignment
    contents = _chosen(student, files, lesson, delivery, releases)
    if folder.is_symlink() or target.is_symlink() or (folder.exists() and not folder.is_dir()):
        delivery.note("link", file=shown(f"{student}/{target.name}"))
        return
    if target.exists():
        if _same(target, contents):
            delivery.students.append(student)
            return
        if releases and _is_better(target, contents, releases):
            aside = _free(root / "submitted" / ".unreadable" / student, target.name)
            _put(contents, aside, root)
            delivery.note("kept", student=student, folder=aside)
            delivery.students.append(student)
            return
        delivery.note("replaced", student=student, folder=_put_aside(target, root))
    _put(contents, target, root)
    delivery.students.append(student)


def _put(contents: dict[str, bytes], target: Path, root: Path) -> None:
    """Make the folder, in one piece."""
    incoming = root / "submitted" / f".incoming.{os.getpid()}"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        for name, content in contents.items():
            (incoming / name).write_bytes(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        incoming.rename(target)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _is_better(target: Path, contents: dict[str, bytes], releases: Releases) -> bool:
    """Whether what lies there holds work, and nothing that comes can be read."""
    if any(normalised(content, name, releases).problem is None for name, content in contents.items()):
        return False
    for file in sorted(target.glob("*.ipynb")) if target.is_dir() else ():
        try:
            if worked(normalised(read_bytes(file), file.name, releases), releases["en"]):
                return True
        except Unreadable:
            continue
    return False


def _chosen(
    student: str, files: list, lesson: Lesson, delivery: Delivery, releases: Releases | None
) -> dict[str, bytes]:
    """The one notebook that is meant, under its right name; where that is not certain, all of them."""
    different = {content: name for name, content in files}
    if not different:
        delivery.note("no-notebook", student=student)
        return {}
    copy = re.compile(re.escape(lesson.slug) + r"([ _-]*\(?\d*\)?)\.ipynb", re.IGNORECASE)
    meant = [content for content, name in different.items() if copy.fullmatch(name)]
    if len(different) == 1:
        meant = list(different)
    elif releases:
        found = {content: normalised(content, name, releases) for content, name in different.items()}
        busy = [content for content in different if worked(found[content], releases["en"])]
        meant = busy if len(busy) == 1 else [content for content in meant if content in busy] or meant
        if len(busy) > 1:
            meant = meant if len(meant) == 1 and _has_most(meant[0], busy, found, releases) else []
    if len(meant) == 1:
        for content, name in different.items():
            if content != meant[0]:
                delivery.note("another", student=student, file=shown(name))
        return {f"{lesson.slug}.ipynb": meant[0]}
    delivery.note("several", student=student, files=", ".join(map(shown, different.values())))
    return {
        f"{number}-{_id(name.rpartition('.')[0])}.ipynb": content
        for number, (content, name) in enumerate(different.items(), 1)
    }


def _has_most(content: bytes, busy: list[bytes], found: dict, releases: Releases) -> bool:
    """Whether no other of the notebooks in which somebody worked holds as many answers."""
    amount = {one: worked(found[one], releases["en"]) for one in busy}
    return all(amount[content] > amount[one] for one in busy if one != content)


def _same(target: Path, contents: dict[str, bytes]) -> bool:
    if not target.is_dir():
        return False
    present = {file.name for file in target.iterdir()} - {"timestamp.txt"}
    try:
        return present == contents.keys() and all(
            read_bytes(target / name) == content for name, content in contents.items()
        )
    except Unreadable:
        return False


def _put_aside(target: Path, root: Path) -> Path:
    aside = _free(root / "submitted" / ".earlier" / target.parent.name, target.name)
    target.rename(aside)
    return aside


def _free(folder: Path, name: str) -> Path:
    """A name in the folder that nothing has yet."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (folder / f"{name}-{number}").exists():
        number += 1
    return folder / f"{name}-{number}"


def _sender(path: str, assignment: tuple[str, ...]) -> _Sender | None:
    parts = PurePosixPath(path).parts
    for part in reversed(parts):
        if found := _MOODLE.fullmatch(part):
            return _Sender(found["name"], found["file"] or parts[-1], found["number"])
    if found := _CANVAS.fullmatch(parts[-1]):
        return _Sender(found["name"], found["file"], found["number"], found["number"], bool(found["late"]))
    above = [part for part in parts[:-1] if part not in (*assignment, "submitted")]
    if above:
        return _Sender(above[-1], parts[-1])
    stem = parts[-1].rpartition(".")[0] or parts[-1]
    for name in assignment:
        stem = re.sub(rf"[ _-]*{re.escape(name)}([ _-]*\(?\d*\)?)?$", "", stem)
    return _Sender(stem, parts[-1]) if _id(stem) else None


def _exact(text: str) -> str:
    """Letters and digits alone, without case."""
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())


def _folded(text: str) -> str:
    """Letters and digits alone, without accents and case."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if c.isalnum())


def _id(name: str) -> str:
    """The name as a student's id: a folder's name everywhere, and nothing else."""
    return re.sub(r"[^\w.@-]+", "-", name).strip("-._")[:MAX_NAME].rstrip("-._")
