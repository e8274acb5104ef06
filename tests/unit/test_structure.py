"""The code base stays easy to enter: one name has one meaning, and no folder is a drawer."""

import ast
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
MODULES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "odoo_testbed" not in path.parts
]
MOST_MODULES_OF_A_FOLDER = 16


def _classes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(path.relative_to(ROOT)))
    return found


def test_no_two_classes_of_the_product_share_a_name() -> None:
    assert {name: places for name, places in _classes().items() if len(places) > 1} == {}


def test_no_folder_holds_more_modules_than_a_reader_takes_in_at_a_glance() -> None:
    folders: dict[str, int] = defaultdict(int)
    for path in MODULES:
        folders[str(path.parent.relative_to(ROOT))] += 1
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES_OF_A_FOLDER} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_modules_is_a_package_that_says_what_it_holds(package: str) -> None:
    silent = [
        str(folder.relative_to(ROOT))
        for folder in {path.parent for path in MODULES if path.parts[len(ROOT.parts)] == package}
        if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    ]
    assert silent == []
