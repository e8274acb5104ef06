"""A file of people is read whole or not at all, and a password stands in it as a hash alone."""

from pathlib import Path

import pytest

from config.console_users import ConsoleRole, ConsoleUsers, edit_role_problem, hash_password
from config.settings import Settings
from purser.errors import ConfigurationError

HASHED = hash_password("open sesame")
FILE = "\n".join(
    f"{name}: {{role: {role}, password: {HASHED}}}"
    for name, role in (("anna", "editor"), ("otto", "operator"), ("vera", "viewer"))
)


def people(text: str = FILE) -> ConsoleUsers:
    return ConsoleUsers.parse(text, source="people.yaml")


def wrong(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        people(text)
    return str(caught.value)


def test_a_person_is_known_by_name_and_password() -> None:
    known = people()
    anna = known.check("anna", "open sesame")
    assert anna is not None
    assert (anna.name, anna.rank) == ("anna", ConsoleRole.EDITOR)
    assert known.check("anna", "open sesame ") is None
    assert known.check("nobody", "open sesame") is None
    assert known.check("nobody", "") is None


def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password("open sesame") != HASHED
    assert "sesame" not in HASHED


def test_no_hash_prints() -> None:
    assert HASHED not in repr(people())


def test_each_may_what_those_before_may() -> None:
    told = {name: [one.may(rank) for rank in ConsoleRole] for name, one in people().known.items()}
    assert told == {"vera": [True, False, False], "otto": [True, True, False], "anna": [True, True, True]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nobody may enter"),
        ("[1]", "must be a mapping"),
        ("anna: {role: boss, password: " + HASHED + "}", "people.yaml:1: `anna`: role: 'boss' is none of viewer"),
        ("anna: {role: editor}", "`anna`: `password` is missing"),
        ("anna: {role: editor, password: hunter2}", "never the password itself"),
        ("anna: {role: editor, password: scrypt$15$8}", "no whole hash"),
        (
            "anna: {role: editor, password: 'scrypt$30$8$1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA'}",
            "not made by",
        ),
        ("'a:b': {role: editor, password: " + HASHED + "}", "cannot be a login"),
        ("anna: {rol: editor, password: " + HASHED + "}", "`rol` is unknown. Did you mean `role`?"),
        (FILE + "\n" + FILE, "`anna` stands here twice"),
        ("anna: {role: [", "no YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str) -> None:
    told = wrong(text)
    assert said in told
    assert "hunter2" not in told


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PURSER_PEOPLE names it"):
        ConsoleUsers.load(tmp_path / "people.yaml")


def test_editing_takes_an_editor_and_a_task_that_may_be_edited(tmp_path: Path) -> None:
    file = tmp_path / "people.yaml"
    file.write_text(FILE)
    alone, several = Settings(), Settings(people=file)
    assert edit_role_problem(alone, "root", "purser.react") == ""
    assert "PURSER_EDITABLE" in edit_role_problem(alone, "root", "purser.apply")
    assert edit_role_problem(several, "anna", "purser.accept") == ""
    assert edit_role_problem(several, "otto", "purser.accept") == "otto is an operator: editing takes an editor"
    assert edit_role_problem(several, "vera", "purser.accept") == "vera is a viewer: editing takes an editor"
    assert "is not in the file" in edit_role_problem(several, "root", "purser.accept")
    assert edit_role_problem(Settings(editable="purser.apply"), "root", "purser.apply") == ""
