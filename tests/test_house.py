"""The house: one set of versions behind three doors, no import undeclared, two READMEs that agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OF_AN_EXTRA = {
    "google": ["protobuf"]
}  # an import named otherwise than its package, which may not be installed
READMES = {"en": ROOT / "README.md", "es": ROOT / "README.es.md"}


def test_lock_pins_every_line_to_one_version_and_names_no_place():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


def test_every_direct_dependency_is_pinned_to_the_version_of_the_lock():
    for line in [*PROJECT["dependencies"], *EXTRAS["dev"]]:
        name, pin = line.split("==")
        assert locked()[canonicalize_name(name)] == pin, line


def test_lock_holds_whatever_the_dependencies_depend_on():
    waiting, seen = [*PROJECT["dependencies"], *EXTRAS["dev"]], set()
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
    for line in sum((EXTRAS[name] for name in EXTRAS.keys() - {"dev"}), []):
        name, pin = line.split("==")
        assert pins[canonicalize_name(name)] == pin, line


def test_this_environment_has_the_versions_of_the_lock():
    here = {name: version(name).split("+")[0] for name in locked()}  # “+cpu” is a build, not a version
    assert here == locked()


def test_conda_installs_the_same_lock_on_a_python_that_the_project_takes():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, _, by_pip = environment["dependencies"]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.split("=")[1])
    assert by_pip == {"pip": ["-r requirements.lock", "-e ."]}


@pytest.mark.parametrize("package", ["minigpt", "course"])
def test_every_import_is_declared(package):
    declared = locked().keys() | {
        canonicalize_name(Requirement(line).name) for line in sum(EXTRAS.values(), [])
    }
    packages = packages_distributions() | OF_AN_EXTRA
    for file in (ROOT / package).rglob("*.py"):
        for module in imported_modules(file) - {*sys.stdlib_module_names, "minigpt", "course"}:
            names = {canonicalize_name(name) for name in packages.get(module, [module])}
            assert names & declared, f"{file.relative_to(ROOT)} imports {module}"


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


def imported_modules(file: Path) -> set[str]:
    """The top-level modules that a file imports, wherever in it."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module.split(".")[0])
    return modules


def commands(readme: str) -> list[str]:
    """What the code blocks tell the reader to type, without the comments beside it."""
    blocks = re.findall(r"```\w*\n(.*?)```", readme, re.S)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
