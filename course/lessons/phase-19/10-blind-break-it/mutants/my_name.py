"""Right and wrong answers to `my-name`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

GIVEN = "my-name/given"

ANSWERS = [
    Valid("my-name", "accents", 'MY_NAME = "Ángela Ruiz Robles"'),
    Mutant("my-name", "empty", 'MY_NAME = ""', {GIVEN: "name-missing"}),
    Mutant("my-name", "placeholder", 'MY_NAME = "Your name"', {GIVEN: "name-missing"}),
    Mutant("my-name", "number", "MY_NAME = 7", {GIVEN: "name-not-text"}),
]
