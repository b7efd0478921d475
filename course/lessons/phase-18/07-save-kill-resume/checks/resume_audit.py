"""Checks of `resume-audit`: what a resumed run has lost."""

from course.check import Check, number, wrong

PARTS = ("optimizer", "schedule", "scaler")


class _Audit(Check):
    """Two records around a resume; which part of the state did not come back?"""

    answer = "resume_audit"
    lost: tuple[tuple[str, ...], ...]
    near: tuple[tuple[tuple[str, ...], float, float, float], ...] = ()  # lost, lr, update, saved scale

    def cases(self, rng):
        for index, lost in enumerate(self.lost):
            step = int(rng.integers(40, 400))
            asked = float(rng.uniform(2e-4, 3e-3))
            scale = float(2.0 ** rng.integers(8, 14))
            last = {
                "step": step - 1,
                "lr": asked * float(rng.uniform(1.002, 1.008)),
                "update": float(rng.uniform(0.08, 0.35)),
                "scale": scale,
            }
            first = {
                "step": step,
                "lr": asked * ((0.01, 3.0)[index % 2] if "schedule" in lost else 1.0),
                "update": 0.9999 if "optimizer" in lost else float(rng.uniform(0.08, 0.35)),
                "scale": 65536.0 if "scaler" in lost else scale * (0.5, 1.0, 2.0)[index % 3],
            }
            yield {"last": last, "first": first, "asked": asked, "expected": list(lost)}
        for lost, lr, update, saved in self.near:  # on either side of a limit
            last = {"step": step, "lr": asked * 1.004, "update": 0.2, "scale": saved}
            first = {"step": step + 1, "lr": asked * lr, "update": update, "scale": 65536.0}
            yield {"last": last, "first": first, "asked": asked, "expected": list(lost)}

    def contrasts(self, rng, cases):
        for case in cases:
            last = case["last"]
            healthy = {"step": last["step"] + 1, "lr": case["asked"], "update": 0.2, "scale": last["scale"]}
            yield case | {"first": healthy}
            yield case | {"first": healthy | {"lr": 5 * case["asked"], "update": 0.9999, "scale": 65536.0}}

    def probe(self, answer, case):
        found = answer(case["last"], case["first"], case["asked"])
        if found is None:
            number(found)
        return {"kind": type(found).__name__, "lost": [str(item) for item in found]}

    def judge(self, case, output):
        expected, actual = case["expected"], sorted(set(output["lost"]))
        if output["kind"] == "str" or any(name not in PARTS for name in actual):
            return wrong("not-a-list-of-parts", expected, output["lost"])
        if actual == sorted(expected):
            return None
        first, last = case["first"], case["last"]
        values = {
            "update": f"{first['update']:.2f}",
            "lr": f"{first['lr']:.2e}",
            "asked_lr": f"{case['asked']:.2e}",
            "saved_scale": f"{last['scale']:.0f}",
            "scale": f"{first['scale']:.0f}",
        }
        missed = [name for name in expected if name not in actual]
        return wrong(
            f"{missed[0]}-missed" if missed else self._alarm(actual, expected), expected, actual, **values
        )

    def _alarm(self, actual, expected):
        return f"{next(name for name in actual if name not in expected)}-false-alarm"


class AuditNothing(_Audit):
    name = "resume-audit/nothing"
    lost = ((), (), ())
    near = (((), 1.0007, 0.7, 2.0**15), ((), 0.9993, 0.8, 2.0**17))


class AuditOptimizer(_Audit):
    name = "resume-audit/optimizer"
    lost = (("optimizer",), ("optimizer",))


class AuditSchedule(_Audit):
    name = "resume-audit/schedule"
    lost = (("schedule",), ("schedule",), ("schedule",))
    near = ((("schedule",), 1.0015, 0.2, 2.0**16),)


class AuditScaler(_Audit):
    name = "resume-audit/scaler"
    lost = (("scaler",), ("scaler",))
    near = ((("scaler",), 1.0, 0.2, 2.0**14), (("scaler",), 1.0, 0.2, 2.0**18))


class AuditSeveral(_Audit):
    name = "resume-audit/several"
    lost = (("optimizer", "scaler", "schedule"), ("optimizer", "schedule"))
