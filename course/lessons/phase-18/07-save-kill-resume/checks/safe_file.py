"""Checks of `safe-file`: a file that no kill tears."""

from course.check import Check, wrong
from course.workplace import files_in, interrupted, put, workplace

NAME = "checkpoint.bin"
KILLS = 24  # more changes of a file than any honest `write` makes


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

    def _written(self, answer, data, folder):
        """Have a file written, and keep of the folder what is a plain file."""
        answer(folder / NAME).write(bytes.fromhex(data))
        put(folder, files_in(folder))
        return folder / NAME


class RoundTrip(_SafeFile):
    name = "safe-file/round-trip"

    def probe(self, answer, case):
        with workplace() as folder:
            path = self._written(answer, case["old"], folder)
            first = answer(path).read()
            self._written(answer, case["new"], folder)
            second = answer(path).read()
            missing = _read(answer, folder / "nothing.bin")
        kinds = [type(first).__name__, type(second).__name__]
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
        with workplace() as folder:
            path = self._written(answer, case["old"], folder)
            start = files_in(folder)
            for at in range(1, KILLS + 1):
                put(folder, start)
                place = path.stat().st_ino if path.exists() else None
                cut = interrupted(answer, lambda: answer(path).write(bytes.fromhex(case["new"])), at)
                left = files_in(folder)
                same_place = path.exists() and path.stat().st_ino == place
                in_place |= same_place and left.get(NAME) != start[NAME]
                put(folder, left)
                found = _read(answer, path)
                survivors.append("" if found is None else found.hex())
                if not cut:
                    break
        return {"in_place": in_place, "survivors": survivors}

    def judge(self, case, output):
        if output["in_place"]:
            return wrong("written-in-place")
        for found in output["survivors"]:
            if found == "":
                return wrong("nothing-left")
            if found not in (case["old"], case["new"]):
                return wrong("half-and-half")
        complete = output["survivors"][-1]  # nobody interrupted the last one
        return None if complete == case["new"] else wrong("nothing-left")


class _Damage(_SafeFile):
    """Spoil each file that was written, one at a time: reading may refuse, or give the right bytes."""

    accepted: str

    def damaged(self, content, at):
        raise NotImplementedError

    def probe(self, answer, case):
        found = []
        with workplace() as folder:
            path = self._written(answer, case["old"], folder)
            whole = files_in(folder)
            for name, content in whole.items():
                for spoilt in self.damaged(content, case["at"]):
                    put(folder, whole | {name: spoilt})
                    read = _read(answer, path)
                    found.append(None if read is None else read.hex())
            put(folder, whole)
            intact = _read(answer, path)
        return {"found": found, "intact": None if intact is None else intact.hex()}

    def judge(self, case, output):
        if output["intact"] is None:
            return wrong("never-reads")
        if not output["found"]:
            return wrong("nothing-written")
        if case["old"] not in output["intact"]:
            return wrong("other-bytes", len(case["old"]) // 2, len(output["intact"]) // 2)
        for read in output["found"]:
            if read is not None and read != case["old"]:
                return wrong(self.accepted, len(case["old"]) // 2, len(read) // 2)
        return None


class Torn(_Damage):
    name = "safe-file/torn"
    accepted = "torn-accepted"

    def damaged(self, content, at):
        return [content[: int(len(content) * at)], content[:-1], b""] if content else []


class Changed(_Damage):
    name = "safe-file/changed"
    accepted = "changed-accepted"

    def damaged(self, content, at):
        places = [0, int(len(content) * at), len(content) - 1] if content else []
        return [content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :] for i in places]
