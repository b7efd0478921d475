"""AdamW without bias correction, for the fault `no-bias-correction`; here, because the class needs torch."""

from __future__ import annotations

import torch


class UncorrectedAdamW(torch.optim.AdamW):
    """AdamW that divides by 1 − β^t as if t were already large."""

    OFFSET = 10_000

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    self.state[parameter] = {
                        "step": torch.tensor(float(self.OFFSET), device=parameter.device),
                        "exp_avg": torch.zeros_like(parameter),
                        "exp_avg_sq": torch.zeros_like(parameter),
                    }
        return super().step(closure)
