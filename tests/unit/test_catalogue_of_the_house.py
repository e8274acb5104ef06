"""What the house declares is found by looking, and a file that cannot be read says which and why."""

from pathlib import Path

import pytest

import tasks.controls
from purser.errors import ConfigurationError
from tasks.discovery import load_registry


def test_the_house_declares_its_controls_and_automations() -> None:
    found = load_registry()
    assert set(found.controls) >= {"missing-timesheets", "unbilled-work", "stale-drafts"}
    assert set(found.automations) >= {
        *("open-project", "reach-milestone", "draft-invoice", "follow-up-invoice", "review-account"),
        "ask-about-leave",
    }
    assert set(found.watches) >= {"opportunities", "invoices", "leaves"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('not today')", "cannot be imported: RuntimeError: not today"),
        ("from purser import control, hours\ncontrol('x', titel='T')", "cannot be imported: TypeError"),
        ("from purser.errors import ConfigurationError\nraise ConfigurationError('two names')", "two names"),
    ],
)
def test_a_new_file_with_a_mistake_stops_the_start_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "broken_control.py").write_text(text)
    monkeypatch.setattr(tasks.controls, "__path__", [*tasks.controls.__path__, str(tmp_path)])
    with pytest.raises(ConfigurationError) as caught:
        load_registry()
    assert "tasks.controls.broken_control" in str(caught.value)
    assert said in str(caught.value)


def test_one_new_file_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = Path(__file__).parents[2] / "docs" / "examples" / "ownerless_projects.py"
    (tmp_path / "one_new_file.py").write_text(example.read_text())
    monkeypatch.setattr(tasks.controls, "__path__", [*tasks.controls.__path__, str(tmp_path)])
    assert "ownerless-projects" in load_registry().controls
