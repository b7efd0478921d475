"""Right and wrong answers to `my-name`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

TEXT, GIVEN, OWN = (f"my-name/{aspect}" for aspect in ("text", "given", "own"))
NOT_TEXT = dict.fromkeys((TEXT, GIVEN, OWN), "name-not-text")
MISSING = dict.fromkeys((GIVEN, OWN), "name-missing")

ANSWERS = [
    Valid("my-name", "accents", 'MY_NAME = "Ángela Ruiz Robles"'),
    Valid("my-name", "surname-first", 'MY_NAME = "Noether, Emmy"'),
    Valid("my-name", "one-word", 'MY_NAME = "Suharto"'),
    Valid("my-name", "other-letters", 'MY_NAME = "孙 丽"'),
    Valid("my-name", "a-namesake", 'MY_NAME = "Florence Griffith Nightingale"'),
    Mutant("my-name", "number", "MY_NAME = 7", NOT_TEXT),
    Mutant("my-name", "in-a-list", 'MY_NAME = ["Ana", "López"]', NOT_TEXT),
    Mutant("my-name", "empty", 'MY_NAME = ""', MISSING),
    Mutant("my-name", "placeholder", 'MY_NAME = "Your name"', MISSING),
    Mutant("my-name", "enrolment-number", 'MY_NAME = "20261130"', MISSING),
    Mutant("my-name", "practice", 'MY_NAME = "Florence Nightingale"', {OWN: "name-of-the-practice"}),
    Mutant(
        "my-name", "practice-otherwise", 'MY_NAME = "NIGHTINGALE, Florence"', {OWN: "name-of-the-practice"}
    ),
]
