"""Right and wrong answers to `safe-file`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

TRIP, KILL, TORN, CHANGED = (f"safe-file/{aspect}" for aspect in ("round-trip", "kill", "torn", "changed"))


def _file(write, read):
    def body(lines):
        return "\n        ".join(lines)

    return f"""
class SafeFile:
    def __init__(self, path):
        self.path = Path(path)

    def write(self, data):
        {body(write)}

    def read(self):
        {body(read)}
"""


SEAL = "sealed = hashlib.sha256(data).digest() + data"
NEW = 'new = self.path.with_name("new")'
RENAME = ("new.write_bytes(sealed)", "os.replace(new, self.path)")
OPEN = ("content = self.path.read_bytes()", "seal, data = content[:32], content[32:]")
REFUSE = ("if hashlib.sha256(data).digest() != seal:", "    raise ValueError(self.path.name)")
SIDE = 'side = self.path.with_name("hash")'

ANSWERS = [
    Mutant(
        "safe-file",
        "writes-nothing",
        _file(("pass",), ('return b""',)),
        {TRIP: "other-bytes", KILL: "nothing-left", TORN: "nothing-written", CHANGED: "nothing-written"},
    ),
    Valid("safe-file", "sealed-and-renamed", _file((SEAL, NEW, *RENAME), (*OPEN, *REFUSE, "return data"))),
    Valid(
        "safe-file",
        "hex-and-path-replace",
        _file(
            (
                "import zlib",
                'with open(f"{self.path}.part", "wb") as file:',
                '    file.write(b"%08x" % zlib.crc32(data) + data)',
                "    file.flush()",
                "    os.fsync(file.fileno())",
                'Path(f"{self.path}.part").replace(self.path)',
            ),
            (
                "import zlib",
                "content = self.path.read_bytes()",
                'assert content[:8] == b"%08x" % zlib.crc32(content[8:])',
                "return content[8:]",
            ),
        ),
    ),
    Mutant(
        "safe-file",
        "in-place",
        _file((SEAL, "self.path.write_bytes(sealed)"), (*OPEN, *REFUSE, "return data")),
        {KILL: "written-in-place"},
    ),
    Mutant(
        "safe-file",
        "plain",
        _file(("self.path.write_bytes(data)",), ("return self.path.read_bytes()",)),
        {KILL: "written-in-place", TORN: "torn-accepted", CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "no-seal",
        _file((NEW, "sealed = data", *RENAME), ("return self.path.read_bytes()",)),
        {TORN: "torn-accepted", CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "only-the-length",
        _file(
            (NEW, 'sealed = len(data).to_bytes(8, "big") + data', *RENAME),
            (
                "content = self.path.read_bytes()",
                'if len(content) < 8 or int.from_bytes(content[:8], "big") != len(content) - 8:',
                "    raise ValueError",
                "return content[8:]",
            ),
        ),
        {CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "removes-first",
        _file(
            (SEAL, NEW, RENAME[0], "self.path.unlink(missing_ok=True)", "new.rename(self.path)"),
            (*OPEN, *REFUSE, "return data"),
        ),
        {KILL: "nothing-left"},
    ),
    Mutant(
        "safe-file",
        "hash-beside",
        _file(
            (
                *(NEW, "sealed = data", *RENAME, SIDE),
                "new.write_text(hashlib.sha256(data).hexdigest())",
                "os.replace(new, side)",
            ),
            (
                *(SIDE, "data = self.path.read_bytes()"),
                "if hashlib.sha256(data).hexdigest() != side.read_text():",
                "    raise ValueError",
                "return data",
            ),
        ),
        {KILL: "nothing-left"},
    ),
    Mutant(
        "safe-file",
        "no-return",
        _file((SEAL, NEW, *RENAME), (*OPEN, *REFUSE)),
        {TRIP: "read-nothing", KILL: "nothing-left", TORN: "never-reads", CHANGED: "never-reads"},
    ),
    Mutant(
        "safe-file",
        "shrugs",
        _file(
            (SEAL, NEW, *RENAME),
            (
                "if not self.path.exists():",
                '    return b""',
                *OPEN,
                'return data if hashlib.sha256(data).digest() == seal else b""',
            ),
        ),
        {TRIP: "missing-accepted", TORN: "torn-accepted", CHANGED: "changed-accepted"},
    ),
    Mutant(
        "safe-file",
        "seal-comes-too",
        _file((SEAL, NEW, *RENAME), (*OPEN, *REFUSE, "return content")),
        {TRIP: "other-bytes", KILL: "half-and-half"},
    ),
]
