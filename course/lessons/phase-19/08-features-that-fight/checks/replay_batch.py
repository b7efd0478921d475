"""Checks of `replay-batch`: a share of earlier rows, a function of seed and step."""

import numpy as np
import torch

from course.check import Check, array, wrong

LENGTH = 5


class _Replay(Check):
    answer = "replay_batch"

    def _case(self, rng, share, size, fewest=2000):
        return {
            "rows": [int(rng.integers(fewest, 2 * fewest)), int(rng.integers(5000, 9000))],
            "share": share,
            "size": size,
            "seed": int(rng.integers(5, 90)),
            "step": int(rng.integers(100, 400)),
            "shift": int(rng.integers(1, 10**6)),
        }

    def _batch(self, answer, case, seed=0, step=0):
        first, second = _tables(case)
        return array(
            answer(first, second, case["share"], case["size"], case["seed"] + seed, case["step"] + step)
        )

    def probe(self, answer, case):
        return {"batch": self._batch(answer, case)}

    def ill_made(self, case, batch):
        """The slip of a batch that is not made of whole rows in the right number."""
        old, size = round(case["share"] * case["size"]), case["size"]
        rows = np.asarray(batch)
        tables = [table.numpy() for table in _tables(case)]
        if rows.ndim != 2 or rows.shape[1] != LENGTH:
            return wrong("not-rows")
        counts = [int(_found(rows, table).sum()) for table in tables]
        if sum(counts) != len(rows):
            return wrong("not-rows")
        if counts == [old, size - old]:
            return None
        if counts == [old, size]:
            return wrong("on-top", size, len(rows))
        if counts == [size - old, old]:
            return wrong("shares-swapped", old, counts[0])
        return wrong("share-off", old, counts[0])


def _tables(case):
    first, second = case["rows"]
    values = torch.arange((first + second) * LENGTH).view(-1, LENGTH) + case["shift"]
    return values[:first], values[first:]


def _found(rows, table):
    """Which rows of a batch are rows of a table, whole."""
    at = (rows[:, 0] - table[0, 0]) / LENGTH
    inside = (at >= 0) & (at < len(table)) & (at == np.round(at))
    return inside & (rows == rows[:, :1] + np.arange(LENGTH)).all(axis=1)


class Share(_Replay):
    name = "replay-batch/share"

    def cases(self, rng):
        yield self._case(rng, 0.25, 8)
        yield self._case(rng, 0.3, 16)
        yield self._case(rng, 0.2, 8)
        yield self._case(rng, 0.0, 6)
        yield self._case(rng, 0.3, 8)
        yield self._case(rng, 0.5, 64, fewest=300) | {"many": True}

    def judge(self, case, output):
        fault = self.ill_made(case, output["batch"])
        return self._badly_drawn(case, np.asarray(output["batch"])) if "many" in case and not fault else fault

    def _badly_drawn(self, case, rows):
        """The slip of many rows that are no draw from all of a table."""
        for table in (table.numpy() for table in _tables(case)):
            at = np.sort((rows[_found(rows, table), 0] - table[0, 0]) / LENGTH)
            if (np.diff(at) == 1).all():
                return wrong("a-block")
            if at[-1] < len(table) / 2 or at[0] >= len(table) / 2:
                return wrong("not-from-all", len(table), int(at[-1]) + 1)
        return None


class Again(_Replay):
    name = "replay-batch/again"

    def cases(self, rng):
        yield self._case(rng, 0.25, 16)
        yield self._case(rng, 0.5, 12)

    def probe(self, answer, case):
        return {"batches": [self._batch(answer, case).tolist() for _ in range(2)]}

    def judge(self, case, output):
        one, other = output["batches"]
        if one != other:
            return wrong("not-repeatable")
        return self.ill_made(case, one)


class Apart(_Replay):
    name = "replay-batch/apart"

    def cases(self, rng):
        yield self._case(rng, 0.5, 16)
        yield self._case(rng, 0.5, 12)

    def probe(self, answer, case):
        swapped = case["step"] - case["seed"]
        moves = [(0, 0), (0, 1), (1, 0), (swapped, -swapped)]
        return {"batches": [self._batch(answer, case, *move).tolist() for move in moves]}

    def judge(self, case, output):
        here, later, elsewhere, swapped = (np.asarray(batch) for batch in output["batches"])
        slips = {
            "same-every-step": (here, later),
            "seed-ignored": (here, elsewhere),
            "seed-plus-step": (later, elsewhere),
            "swapped-is-the-same": (here, swapped),
        }
        limit = int(_tables(case)[1][0, 0])
        for key, pair in slips.items():
            parts = [(np.sort(rows[rows < limit]), np.sort(rows[rows >= limit])) for rows in pair]
            if any(np.array_equal(one, other) for one, other in zip(*parts, strict=True)):
                return wrong(key)
        return self.ill_made(case, here)
