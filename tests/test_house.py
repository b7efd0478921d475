"""The house: one set of versions behind three doors, no undeclared import, few rooms, READMEs that agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# by module, the packages that bring it; protobuf, whose module is named otherwise, may not be installed
MODULES = packages_distributions() | {"google": ["protobuf"]}
READMES = {"en": ROOT / "README.md", "es": ROOT / "README.es.md"}


def test_lock_pins_every_line_to_one_version_and_names_no_place():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


def test_the_lock_pins_every_direct_dependency_to_a_version_that_pyproject_takes():
    for line in [*PROJECT["dependencies"], *EXTRAS["course"], *EXTRAS["dev"]]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked()[canonicalize_name(wanted.name)]), line


def test_the_course_is_pinned_and_the_tool_takes_ranges():
    assert all("==" in line for line in [*EXTRAS["course"], *EXTRAS["dev"]])
    for line in PROJECT["dependencies"]:
        (lowest,) = Requirement(line).specifier
        assert lowest.operator == ">=", line


def test_lock_holds_whatever_the_dependencies_depend_on():
    waiting, seen = [*PROJECT["dependencies"], *EXTRAS["course"], *EXTRAS["dev"]], set()
    while waiting:
        needed = Requirement(waiting.pop())
        name = canonicalize_name(needed.name)
        assert name in locked(), f"requirements.lock lacks {name}"
        if (name, *needed.extras) in seen:
            continue
        seen.add((name, *needed.extras))
        for line in distribution(name).requires or []:
            marker = Requirement(line).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*needed.extras, "")):
                waiting.append(line)


def test_extras_are_pinned_to_the_versions_of_their_own_lock():
    pins = locked("requirements-extras.lock")
    assert not pins.keys() & locked().keys()
    for line in sum((EXTRAS[name] for name in EXTRAS.keys() - {"course", "dev", "notebook"}), []):
        name, pin = line.split("==")
        assert pins[canonicalize_name(name)] == pin, line


def test_this_environment_has_the_versions_of_the_lock():
    here = {name: version(name).split("+")[0] for name in locked()}  # “+cpu” is a build, not a version
    assert here == locked()


def test_a_learner_gets_the_course_at_the_same_versions_and_no_tool_of_the_tests():
    learner = locked("requirements-learner.lock")
    assert learner.items() <= locked().items()
    assert not {"playwright", "scipy", "scikit-learn", "pytest", "ruff"} & learner.keys()
    waiting, seen = [*PROJECT["dependencies"], *EXTRAS["course"]], set()
    while waiting:
        name = canonicalize_name(Requirement(waiting.pop()).name)
        assert name in learner, f"requirements-learner.lock lacks {name}"
        if name not in seen:
            needed = map(Requirement, distribution(name).requires or [])
            waiting += [
                str(one) for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
        seen.add(name)
    for line in EXTRAS["notebook"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(learner[canonicalize_name(wanted.name)]), line


def test_conda_installs_the_same_lock_on_a_python_that_the_project_takes():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, _, by_pip = environment["dependencies"]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.split("=")[1])
    assert by_pip == {"pip": ["-r requirements.lock", "-e ."]}


@pytest.mark.parametrize("package", ["minigpt", "course"])
def test_every_import_is_declared(package):
    declared = locked().keys() | names_in(sum(EXTRAS.values(), []))
    for file in (ROOT / package).rglob("*.py"):
        for module in imported_modules(file) - {*sys.stdlib_module_names, "minigpt", "course"}:
            assert packages_of(module) & declared, f"{file.relative_to(ROOT)} imports {module}"


def test_the_tool_needs_nothing_of_the_course_to_be_imported():
    core = names_in(PROJECT["dependencies"])
    integrations = ROOT / "minigpt" / "monitor" / "integrations"  # each for a library of its own
    for file in (ROOT / "minigpt").rglob("*.py"):
        if integrations in file.parents:
            continue
        for module in imported_at_once(file) - {*sys.stdlib_module_names, "minigpt"}:
            assert packages_of(module) & core, f"{file.relative_to(ROOT)} imports {module}"


def test_a_newcomer_finds_few_entries_under_minigpt():
    entries = {entry.name for entry in (ROOT / "minigpt").iterdir()} - {"__pycache__"}
    assert len(entries) <= 14, sorted(entries)


def test_minigpt_knows_nothing_of_lessons():
    for file in (ROOT / "minigpt").rglob("*.py"):
        assert "course" not in imported_modules(file), file


def test_readmes_say_the_same_in_two_languages():
    english, spanish = (path.read_text(encoding="utf-8") for path in READMES.values())
    for pattern in (r"^#+ ", r"^\| ", r"^!\[", r"^[-*] ", r"^\d\. "):
        assert len(re.findall(pattern, english, re.M)) == len(re.findall(pattern, spanish, re.M)), pattern
    assert commands(english) == commands(spanish)


@pytest.mark.parametrize("code", READMES)
def test_readme_links_and_targets_exist(code):
    text = READMES[code].read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert set(re.findall(r"make ([a-z]+)", text)) <= set(targets)


def locked(file: str = "requirements.lock") -> dict[str, str]:
    """Version by canonical name, as a lock says."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): pin for name, pin in pins}


def names_in(requirements: list[str]) -> set[str]:
    """The canonical names of the packages that requirements ask for."""
    return {canonicalize_name(Requirement(line).name) for line in requirements}


@cache
def packages_of(module: str) -> set[str]:
    """The canonical names of the packages that bring a module."""
    return {canonicalize_name(name) for name in MODULES.get(module, [module])}


def imported_modules(file: Path) -> set[str]:
    """The top-level modules that a file imports, wherever in it."""
    return imported_by(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def imported_at_once(file: Path) -> set[str]:
    """The top-level modules that a file imports when it is imported: not those of its functions."""
    return imported_by(ast.parse(file.read_text(encoding="utf-8")).body)


def imported_by(nodes: Iterable[ast.AST]) -> set[str]:
    """The top-level modules that import statements name."""
    modules = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module.split(".")[0])
    return modules


def commands(readme: str) -> list[str]:
    """What the code blocks tell the reader to type, without the comments beside it."""
    blocks = re.findall(r"```\w*\n(.*?)```", readme, re.S)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
