"""Blind patients: drawn from a name, silent about what ails them, and curable."""

import importlib.util
import inspect
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from course import patients as patients_module
from course.charts import as_plain
from course.draw import PRACTICE, SHOWN, broken, drawn
from course.grade.charts import evidence_fault, repair_fault
from course.grade.ward import leaves, sick_parts, sick_settings
from course.judging import run_check
from course.lesson import ROOT, find_lesson
from course.messages import CourseError
from course.patients import LETTERS, PARTS, ward
from course.probing import Unusable
from course.written import NotWrittenOut, written_out
from minigpt import diagnosis, train
from minigpt.diagnosis import DYNAMICS
from minigpt.faults import FAULTS

NAMES = [f"learner {number}" for number in range(50)]
CAPSTONES = ("18-08", "19-10")


def parts_of(ward_of_somebody):
    return [sorted(sick_parts(patient)) for patient in ward_of_somebody.values()]


@pytest.fixture(scope="module")
def capstone():
    """The benchmark, whose solver walks, repairs and walks again."""
    spec = importlib.util.spec_from_file_location("capstone", ROOT / "benchmarks" / "capstone.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("lesson", CAPSTONES)
@pytest.mark.parametrize("name", NAMES)
def test_one_is_healthy_one_has_two_faults_in_two_parts_and_four_have_one(name, lesson):
    patients = ward(name, lesson)
    assert list(patients) == list(LETTERS)
    assert sorted(len(leaves(patient)) for patient in patients.values()) == [0, 1, 1, 1, 1, 2]
    assert sorted(map(len, parts_of(patients))) == [0, 1, 1, 1, 1, 2]
    found = [leaf for patient in patients.values() for leaf in leaves(patient)]
    assert len(set(found)) == len(found) == 6


@pytest.mark.parametrize("lesson", CAPSTONES)
def test_neighbours_have_other_patients(lesson):
    drawn = {tuple(tuple(sorted(leaves(p))) for p in ward(name, lesson).values()) for name in NAMES}
    assert len(drawn) == len(NAMES)
    assert len({ward(name, lesson)["A"].config.seed for name in NAMES}) > 45


@pytest.mark.parametrize("name", NAMES[:20])
def test_the_last_capstone_draws_from_the_dynamics_and_one_from_phase_18(name):
    of_dynamics = {leaf for question in DYNAMICS.questions for leaf in question.leaves}
    patients = ward(name, "19-10").values()
    earlier = [patient for patient in patients if leaves(patient) and not leaves(patient) <= of_dynamics]
    assert [len(leaves(patient)) for patient in earlier] == [1]
    assert {patient.config.precision for patient in patients} == {"fp32", "fp16"}
    assert {patient.config.mixer for patient in patients} == {"attention", "memory"}


def test_what_ails_a_patient_cannot_be_had_with_tab():
    patient = ward(NAMES[0])["A"]
    shown = {*dir(patients_module), *dir(patient)}
    assert not [name for name in shown if "fault" in name or "drawn" in name or "leaves" in name]
    assert not [fault for fault in FAULTS if fault in inspect.getsource(patients_module)]


def test_a_name_is_the_same_however_it_is_typed():
    name = "Ángela Ruiz Robles"
    typed = f"  {unicodedata.normalize('NFD', name).upper()} "
    assert ward(typed) == ward(name)
    assert [p.config.seed for p in ward(typed).values()] == [p.config.seed for p in ward(name).values()]


@pytest.mark.parametrize("name", ["", "  ", None, 7, ...])
def test_without_a_name_there_is_no_ward(name):
    with pytest.raises(CourseError):
        ward(name)


def test_neither_recipe_nor_run_directory_names_a_fault(tmp_path):
    patients = ward(NAMES[0]).values()
    assert {tuple(patient.recipe().own_parts) for patient in patients} == {PARTS}
    sick = next(patient for patient in patients if len(leaves(patient)) == 2)
    run = sick.train(tmp_path / "run")
    files = [file for file in (tmp_path / "run").rglob("*") if file.suffix in (".json", ".jsonl")]
    told = repr(sick) + repr(sick.recipe()) + "".join(file.read_text(encoding="utf-8") for file in files)
    assert [fault for fault in FAULTS if fault in told] == []
    assert run.manifest["faults"] == []


def test_a_repair_names_parts_and_settings_that_exist():
    patient = ward(NAMES[0])["A"]
    with pytest.raises(CourseError, match="init_weights"):
        patient.recipe(parts=["init_weight"])
    with pytest.raises(CourseError, match="clip_norm"):
        patient.recipe(settings={"clip_norms": 1.0})
    assert patient.recipe(settings={"clip_norm": 2.0}).config.clip_norm == 2.0


def test_training_a_patient_leaves_the_random_state_alone(tmp_path):
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    ward(NAMES[0])["A"].train(tmp_path / "run")
    assert torch.equal(torch.rand(2), expected)


def test_a_sealed_recipe_trains_as_the_open_one(tmp_path):
    patient = next(p for p in ward(NAMES[1]).values() if leaves(p))
    as_drawn = broken(patient.lesson, patient.name, patient.letter)
    sealed, opened = patient.train(tmp_path / "sealed"), train(as_drawn, tmp_path / "open")
    assert sealed.column("loss")[1].tolist() == opened.column("loss")[1].tolist()
    assert diagnosis.check(sealed.path).leaf in leaves(patient)


def test_the_tree_and_its_fixes_solve_a_ward_and_nothing_else_does(capstone):
    name = NAMES[2]
    assert capstone.share(name, capstone.solve) == (1.0, [])
    assert capstone.share(name, capstone.nothing)[0] == 0
    assert capstone.share(name, capstone.always_one)[0] < 0.2


def test_a_sick_patient_called_healthy_is_told_so():
    letter, patient = next((letter, p) for letter, p in ward(NAMES[0]).items() if leaves(p))
    check = find_lesson("18-08").checks[f"patient-{letter.lower()}/leaf"]
    result = run_check(check, {"name": NAMES[0], "leaves": []})
    assert result.wrong.key == "charts.sick-called-healthy"


@pytest.mark.parametrize(
    "chart",
    [None, 7, "A", {}, {"name": 7}, {"name": NAMES[0], "evidence": "1.1", "leaves": None, "parts": None}],
)
def test_no_chart_is_beyond_a_sentence(chart):
    for aspect in ("leaf", "evidence", "repair"):
        result = run_check(find_lesson("18-08").checks[f"patient-a/{aspect}"], chart)
        told = ("not-a-chart", "sick-called-healthy", "no-figure", "still-sick")
        assert result.wrong.key in {f"charts.{key}" for key in told}


@pytest.fixture(scope="module")
def clipped():
    """A patient whose every step is clipped, and its name."""
    name = "Emmy Noether"
    return name, next(patient for patient in ward(name).values() if leaves(patient) == {"always-clipping"})


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        *((1.0, None), (100, None), ("100 %", None), ("100%", None)),
        *(("0.75", "charts.other-figure"), (55, "charts.other-figure"), ("all", "charts.other-figure")),
    ],
)
def test_evidence_counts_as_it_was_measured_and_as_it_is_printed(figure, told, clipped):
    name, patient = clipped
    found = evidence_fault(patient, as_plain({"name": name, "evidence": ["3.1", figure]}))
    assert (found and found.key) == told


@pytest.mark.parametrize(
    ("question", "figure"), [("1.1", 512), ("2.2", 9), ("6.2", 5), ("2.1", "decay"), ("11.2", 0)]
)
def test_a_value_that_all_six_share_is_no_evidence(question, figure, clipped):
    name, _ = clipped
    healthy = next(patient for patient in ward(name).values() if not leaves(patient))
    chart = as_plain({"name": name, "evidence": {question: figure}})
    assert evidence_fault(healthy, chart).key == "charts.says-nothing"


def test_a_part_or_a_leaf_may_stand_without_its_list():
    chart = as_plain({"name": "A", "leaves": "x", "parts": "lr_at", "settings": "clip_norm"})
    assert (chart["leaves"], chart["parts"], chart["settings"]) == (["x"], ["lr_at"], {"clip_norm": None})


def test_a_chart_with_settings_is_read_whole_as_it_was_written():
    chart = {"name": "A", "leaves": ["x"], "evidence": ["3.1", 1.0], "settings": {"clip_norm": 1.0}}
    assert written_out([("patient-a", f"patient_a = {chart!r}")], "patient_a") == chart


def test_nobody_draws_the_pair_that_the_lesson_treats():
    assert tuple(SHOWN[1:]) == drawn("19-10", PRACTICE)["B"].faults
    for number in range(300):
        assert all(one.faults != SHOWN[1:] for one in drawn("19-10", f"{number} learner").values())


def test_a_setting_that_the_manifest_has_right_may_not_be_changed():
    six = [patient for name in NAMES for patient in ward(name, "19-10").values()]
    moved = next(patient for patient in six if "warmup_steps" in sick_settings(patient))
    chart = as_plain({"name": moved.name, "settings": {"warmup_steps": 15, "weight_decay": 0.2}})
    assert repair_fault(moved, chart).key == "charts.healthy-setting-changed"
    assert repair_fault(moved, chart).values["setting"] == "weight_decay"


def test_a_mark_is_read_as_it_is_printed_and_a_number_in_quotes_is_told():
    assert as_plain({"evidence": ["7.3", False]})["figure"] == "✗"
    with pytest.raises(Unusable) as told:
        as_plain({"settings": {"lr_max": "0.005"}})
    assert (told.value.key, told.value.values) == ("charts.setting-not-a-number", {"setting": "lr_max"})


def test_what_is_computed_is_quoted_by_its_own_line():
    code = 'a = {\n    "leaves": ["x"],\n    "evidence": ["8.1", max([2])],\n}'
    with pytest.raises(NotWrittenOut, match="max"):
        written_out([("a", code)], "a")


def test_two_judges_at_once_see_what_one_sees(tmp_path):
    sick = [patient for patient in ward(NAMES[3]).values() if leaves(patient)][:2]
    alone = [p.train(tmp_path / f"alone-{p.letter}").column("loss")[1].tolist() for p in sick]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda p: p.train(tmp_path / f"beside-{p.letter}"), sick))
    assert [run.column("loss")[1].tolist() for run in together] == alone
