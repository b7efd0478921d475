"""The stability check for anybody's PyTorch loop, in three lines and without a reference run.

    with Monitor(model, optimizer, vocab_size=V, run_dir="runs/mine") as monitor:
        for batch in batches:
            ...                    # forward, backward, clip, optimizer.step(), zero_grad
            monitor.step(loss)
        walk = monitor.check()
        print(walk.leaf or walk.verdict)

Everything is seen through hooks: neither the model nor what it computes changes. The run directory has the
form of minigpt's own runs, so `minigpt check` and `minigpt dashboard` work on it.
"""

from minigpt.monitor.monitor import Monitor

__all__ = ["Monitor"]
