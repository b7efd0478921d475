"""The report points at file and line of the user's own program."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from minigpt.diagnosis import check
from minigpt.monitor import Monitor


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(300, 8), nn.Linear(8, 300, bias=False)

    def forward(self, ids):
        return self.head(self.embedding(ids))


def test_a_leaf_of_the_step_points_at_the_line_that_steps(tmp_path, command):
    model = Pair()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer, vocab_size=300, run_dir=tmp_path / "run") as monitor:
        for _ in range(12):
            ids = torch.randint(0, 300, (4, 9))
            loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            optimizer.step()  # and nobody clears the gradients
            monitor.step(loss)
    found = check(tmp_path / "run")
    assert found.leaf == "missing-zero-grad"
    file, line = found.place.rsplit(":", 1)
    assert file.endswith("test_places.py")
    assert "optimizer.step()" in Path(__file__).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert f"Where: {found.place}"[:60] in command("check", tmp_path / "run", "--lang", "en").out
    assert found.places["model"].startswith(file)
