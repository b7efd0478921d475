"""Checks of `my-name`, the name that draws the ward: a text, a name, and nobody's from the lesson."""

from course.check import Check, wrong
from course.patients import plain_name

EXAMPLES = {"your name", "tu nombre", "my name", "mi nombre", "name", "nombre", "name and surname"}
PRACTICE = plain_name("Florence Nightingale")  # one chart of her ward stands in the lesson


class _Name(Check):
    answer = "MY_NAME"
    written_out = True

    def cases(self, rng):
        yield {}

    def probe(self, answer, case):
        return {"kind": type(answer).__name__, "name": str(answer)[:200]}

    def tie(self, output):
        return output["name"].casefold()

    def judge(self, case, output):
        if output["kind"] != "str":
            return wrong("name-not-text", actual=output["kind"])
        return self.found(output["name"])

    def found(self, name):
        """What is wrong with a text, or None."""
        raise NotImplementedError


class Text(_Name):
    name = "my-name/text"

    def found(self, name):
        return None


class Given(_Name):
    name = "my-name/given"

    def found(self, name):
        letters = sum(letter.isalpha() for letter in name)
        if letters < 2 or " ".join(name.casefold().split()) in EXAMPLES:
            return wrong("name-missing", actual=name)
        return None


class Own(Given):
    name = "my-name/own"

    def found(self, name):
        known = plain_name(name) == PRACTICE
        return wrong("name-of-the-practice", actual=name) if known else super().found(name)
