"""AdamW that does not load PyTorch's compiler.

    optimizer = AdamW(parameters, lr=1e-3, fused=True)

To build an optimizer, to step it or to clear its gradients, PyTorch 2 imports `torch._dynamo`, only to keep
the compiler out of these calls: 2 to 3 s of processor time at the start of every run, most of which compile
nothing. Below are the same functions without that wrapping; they compute the same, bit for bit.
"""

from __future__ import annotations

import inspect

import torch


class AdamW(torch.optim.AdamW):
    """PyTorch's AdamW (Loshchilov & Hutter, 2019), the functions themselves."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
