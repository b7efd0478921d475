"""Checks of `safe-file`: a file that no kill tears."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from course.check import Check, wrong


class _Killed(BaseException):
    """The power cut: no `except Exception` catches it."""


_WATCHING = []
_HOOKED = []


@contextmanager
def _watch(folder, kill_at):
    """See every opening for writing, renaming and removing in a folder, and end the program at the n-th."""
    folder = os.path.realpath(folder)
    existing = {entry.path for entry in os.scandir(folder)}
    watch = SimpleNamespace(folder=folder, kill_at=kill_at, existing=existing, events=0, in_place=False)
    if not _HOOKED:  # an audit hook stays for good; it does nothing while nobody watches
        sys.addaudithook(_hear)
        _HOOKED.append(True)
    _WATCHING.append(watch)
    try:
        yield watch
    except _Killed:
        pass
    finally:
        _WATCHING.remove(watch)


def _hear(event, args):
    if not _WATCHING or event not in ("open", "os.rename", "os.remove"):
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    path = args[1] if event == "os.rename" else args[0]
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    parent, name = os.path.split(os.fsdecode(path))
    path = os.path.join(os.path.realpath(parent), name)
    for watch in tuple(_WATCHING):
        if not path.startswith(watch.folder + os.sep):
            continue
        watch.in_place |= event == "open" and path in watch.existing
        watch.events += 1
        if watch.events == watch.kill_at:
            raise _Killed


def _read(answer, path):
    """What reading gives: the bytes, or None when it refuses."""
    try:
        return bytes(answer(path).read())
    except NotImplementedError:
        raise
    except Exception:
        return None


class _SafeFile(Check):
    answer = "SafeFile"

    def cases(self, rng):
        yield {"old": rng.bytes(300).hex(), "new": rng.bytes(200).hex(), "at": float(rng.uniform(0.1, 0.9))}

    def _written(self, answer, case, folder):
        path = Path(folder) / "checkpoint.bin"
        answer(path).write(bytes.fromhex(case["old"]))
        return path


class RoundTrip(_SafeFile):
    name = "safe-file/round-trip"

    def probe(self, answer, case):
        with TemporaryDirectory() as folder:
            path = self._written(answer, case, folder)
            first = answer(path).read()
            answer(path).write(bytes.fromhex(case["new"]))
            second = answer(path).read()
            kinds = [type(first).__name__, type(second).__name__]
            missing = _read(answer, Path(folder) / "nothing.bin")
            texts = [bytes(item).hex() if item is not None else "" for item in (first, second)]
            return {"kinds": kinds, "first": texts[0], "second": texts[1], "missing": missing is not None}

    def judge(self, case, output):
        if "NoneType" in output["kinds"]:
            return wrong("read-nothing")
        if output["first"] != case["old"]:
            return wrong("other-bytes", len(case["old"]) // 2, len(output["first"]) // 2)
        if output["second"] != case["new"]:
            return wrong("not-overwritten", len(case["new"]) // 2, len(output["second"]) // 2)
        return wrong("missing-accepted") if output["missing"] else None


class Kill(_SafeFile):
    name = "safe-file/kill"

    def probe(self, answer, case):
        survivors, in_place = [], False
        for kill_at in range(1, 13):
            with TemporaryDirectory() as folder:
                path = self._written(answer, case, folder)
                with _watch(folder, kill_at) as watch:
                    answer(path).write(bytes.fromhex(case["new"]))
                in_place |= watch.in_place
                if watch.events < kill_at:
                    break
                found = _read(answer, path)
                survivors.append("" if found is None else found.hex())
        return {"in_place": in_place, "survivors": survivors}

    def judge(self, case, output):
        if output["in_place"]:
            return wrong("written-in-place")
        for found in output["survivors"]:
            if found == "":
                return wrong("nothing-left")
            if found not in (case["old"], case["new"]):
                return wrong("half-and-half")
        return None


class _Damage(_SafeFile):
    """Spoil each file that was written, one at a time: reading may refuse, or give the right bytes."""

    accepted: str

    def damaged(self, content, at):
        raise NotImplementedError

    def probe(self, answer, case):
        found = []
        with TemporaryDirectory() as folder:
            path = self._written(answer, case, folder)
            for file in sorted(Path(folder).iterdir()):
                content = file.read_bytes()
                for spoilt in self.damaged(content, case["at"]):
                    file.write_bytes(spoilt)
                    read = _read(answer, path)
                    found.append(None if read is None else read.hex())
                file.write_bytes(content)
            return {"found": found, "intact": _read(answer, path) is not None}

    def judge(self, case, output):
        if not output["intact"]:
            return wrong("never-reads")
        for read in output["found"]:
            if read is not None and read != case["old"]:
                return wrong(self.accepted, len(case["old"]) // 2, len(read) // 2)
        return None


class Torn(_Damage):
    name = "safe-file/torn"
    accepted = "torn-accepted"

    def damaged(self, content, at):
        return [content[: int(len(content) * at)], content[:-1], b""]


class Changed(_Damage):
    name = "safe-file/changed"
    accepted = "changed-accepted"

    def damaged(self, content, at):
        places = [0, int(len(content) * at), len(content) - 1]
        return [content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :] for i in places]
