"""Checks of `due`: the steps that write follow from (seed, step), and from nothing else."""

from course.afterwards import drawn, draws, in_one_place
from course.check import Check, close, given, wrong

STEPS = 32
MANY = 64  # steps whose share is told from another


class _Due(Check):
    answer = "due"
    random_state = True  # a hidden generator draws on from call to call
    steps, asks = STEPS, ()  # how many; what is asked beside the steps themselves

    def cases(self, rng):
        yield {"seed": int(rng.integers(1, 1000)), "chance": 0.4}

    def probe(self, answer, case):
        call = in_one_place(answer)

        def asked(seed, steps):
            return [bool(given(call(seed, step, case["chance"]))) for step in steps]

        right = drawn()
        output = {"first": asked(case["seed"], range(self.steps))}
        if "again" in self.asks:
            output["again"] = asked(case["seed"], reversed(range(self.steps)))[::-1]
        if "next" in self.asks:
            output["next"] = asked(case["seed"] + 1, range(self.steps))
        return output | {"right": right, "found": draws(answer)}

    def judge(self, case, output):
        steps = sum(output["first"])
        if min(steps, len(output["first"]) - steps) < 2:  # one alone is step 0, or the last
            return wrong("never-or-always")
        return self.judge_steps(case, output)


class Repeats(_Due):
    name = "due/repeats"
    asks = ("again",)

    def judge_steps(self, case, output):
        return wrong("hidden-generator") if output["first"] != output["again"] else None


class Generators(_Due):
    """Whoever draws from the common generators afterwards gets the numbers that were due."""

    name = "due/generators"

    def judge_steps(self, case, output):
        return None if close(output["found"], output["right"]) else wrong("generator-moved")


class Chance(_Due):
    name = "due/chance"
    steps = MANY

    def cases(self, rng):
        for chance in (0.2, 0.5):
            yield {"seed": int(rng.integers(1, 1000)), "chance": chance}

    def judge_steps(self, case, output):
        share, chance = sum(output["first"]) / MANY, case["chance"]
        if abs(share - chance) <= 4.5 * (chance * (1 - chance) / MANY) ** 0.5:
            return None
        return wrong("chance-off", chance, share)


class Seeds(_Due):
    name = "due/seeds"
    asks = ("next",)
    steps = MANY

    def cases(self, rng):
        yield {"seed": 0, "chance": 0.4}
        yield {"seed": int(rng.integers(1, 1000)), "chance": 0.4}

    def judge_steps(self, case, output):
        if output["first"] == output["next"]:
            return wrong("same-for-every-seed")
        shifted = any(output["first"][by:] == output["next"][:-by] for by in range(1, MANY // 2 + 1))
        return wrong("seed-plus-step") if shifted else None
