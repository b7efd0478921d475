"""Checks of `read-log`: a log, torn or damaged, read back."""

import json

from course.check import Check, given, number, wrong


class _ReadLog(Check):
    answer = "read_log"

    def records(self, rng):
        losses = rng.uniform(2.0, 6.0, int(rng.integers(4, 9))).round(3)
        return [{"step": step, "loss": float(loss)} for step, loss in enumerate(losses)]

    def probe(self, answer, case):
        return {"records": self._plain(answer(case["text"]))}

    def _plain(self, found):
        """The records as lists of step and loss; a text that says what is there, where it is none."""
        if not isinstance(given(found), (list, tuple)):
            return type(found).__name__
        for record in found:
            if not isinstance(record, dict):
                return type(record).__name__
        return [[number(record.get("step", -1)), number(record.get("loss", -1))] for record in found]

    def judge(self, case, output):
        expected = [[float(record["step"]), record["loss"]] for record in case["records"]]
        actual = output["records"]
        if actual == expected:
            return None
        if type(actual) is str:
            return wrong("no-dicts", kind=actual)
        return self.wrong_records(expected, actual)


class Whole(_ReadLog):
    name = "read-log/whole"

    def cases(self, rng):
        records = self.records(rng)
        yield {"records": records, "text": "".join(json.dumps(record) + "\n" for record in records)}
        yield {"records": [], "text": ""}

    def wrong_records(self, expected, actual):
        key = "lines-lost" if len(actual) < len(expected) else "lines-differ"
        return wrong(key, len(expected), len(actual))


class Torn(_ReadLog):
    name = "read-log/torn"

    def cases(self, rng):
        records = self.records(rng)
        text = "\n".join(json.dumps(record) for record in records)
        yield {"records": records[:-1], "text": text[: -int(rng.integers(1, 20))]}

    def probe(self, answer, case):
        try:
            return super().probe(answer, case)
        except ValueError:
            return {"records": []}

    def wrong_records(self, expected, actual):
        if not actual:
            return wrong("torn-line-stops")
        key = "torn-line-kept" if len(actual) > len(expected) else "more-than-the-torn-line"
        return wrong(key, len(expected), len(actual))


class LastLine(_ReadLog):
    name = "read-log/last-line"

    def cases(self, rng):
        records = self.records(rng)
        yield {"records": records, "text": "\n".join(json.dumps(record) for record in records)}

    def wrong_records(self, expected, actual):
        key = "whole-line-dropped" if len(actual) == len(expected) - 1 else "lines-differ"
        return wrong(key, len(expected), len(actual))


class Damaged(_ReadLog):
    name = "read-log/damaged"

    def cases(self, rng):
        for place in ("first", "middle", "last-but-one"):
            lines = [json.dumps(record) for record in self.records(rng)]
            ends = {"first": 0, "last-but-one": len(lines) - 2}
            hurt = ends.get(place, int(rng.integers(1, len(lines) - 2)))
            lines[hurt] = lines[hurt][:9]
            yield {"text": "\n".join(lines) + "\n", "line": hurt + 1}

    def contrasts(self, rng, cases):
        lines = cases[0]["text"].splitlines()
        lines[cases[0]["line"] - 1] = '{"a": 10}'  # as long, and whole
        yield {"text": "\n".join(lines) + "\n"}

    def probe(self, answer, case):
        try:
            found = self._plain(answer(case["text"]))
            return {"raised": False, "records": found if type(found) is str else len(found)}
        except ValueError:
            return {"raised": True, "records": 0}

    def judge(self, case, output):
        if type(output["records"]) is str:
            return wrong("no-dicts", kind=output["records"])
        return None if output["raised"] else wrong("damage-passed-over", "ValueError", output["records"])
