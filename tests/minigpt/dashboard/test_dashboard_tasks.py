"""The forgetting matrix and the plasticity panel, from runs written as a trainer would."""

from small_runs import MINIMAL

from minigpt.dashboard import from_run, page
from minigpt.dashboard.panels import panels
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


def test_the_matrix_has_a_row_for_each_task_that_was_learnt(tmp_path):
    config = MINIMAL.replace(tasks="conjugations,python", activation="spiking", plasticity="pair")
    run = train(Recipe(config), tmp_path / "run")
    source = from_run(tmp_path / "run")
    found = {panel["id"]: panel for panel in panels([source])}
    (matrix,) = found["tasks"]["tables"]
    looks = {record["step"]: record["tasks"] for record in run.metrics if "tasks" in record}
    names = ["conjugations", "python"]
    assert matrix["tasks"] == names
    assert matrix["rows"] == [
        [name, [round(looks[step][other], 3) for other in names]]
        for name, step in zip(names, (5, 11), strict=True)
    ]
    lows = [min(look[name] for look in looks.values()) for name in names]
    assert matrix["forgotten"] == [
        round(looks[11][name] - low, 3) for name, low in zip(names, lows, strict=True)
    ]
    assert len(found["plasticity"]["series"]) == 2
    assert "Forgetting matrix" in page([source]) and "Matriz de olvido" in page([source])


def test_a_run_on_one_text_has_neither(tmp_path):
    train(Recipe(MINIMAL), tmp_path / "run")
    assert not {"tasks", "plasticity"} & {panel["id"] for panel in panels([from_run(tmp_path / "run")])}
