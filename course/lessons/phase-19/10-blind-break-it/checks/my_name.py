"""Checks of `my-name`: the name that draws the ward."""

from course.check import Check, wrong

EXAMPLES = ("your name", "tu nombre", "name", "nombre")


class Given(Check):
    name = "my-name/given"
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
        letters = sum(letter.isalpha() for letter in output["name"])
        if letters < 2 or " ".join(output["name"].casefold().split()) in EXAMPLES:
            return wrong("name-missing", actual=output["name"])
        return None
