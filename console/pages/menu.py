"""Our pages stand in Flower's own menu, and Flower's pages keep their templates: only the menu is changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flower.urls import settings as flower
from tornado.template import Loader, Template

from purser.errors import Permanent

HERE = Path(__file__).parent
STATIC = HERE / "static"


@dataclass(frozen=True, slots=True)
class Entry:
    """One word of the menu, and where it leads."""

    tab: str
    title: str
    path: str


ENTRIES = (
    Entry("dead", "Dead letters", "/dead"),
    Entry("refusals", "Refusals", "/refusals"),
    Entry("cases", "Cases", "/cases"),
    Entry("runs", "Runs", "/runs"),
    Entry("delayed", "Delayed", "/delayed"),
)

HOOK = "</ul>"
"""Flower's menu is its first list; ours goes in before this."""
ANCHORS = ("reverse_url('broker')", HOOK, "active_tab", "app-navbar", "data-bs-theme-value")
"""What must stand in Flower's menu for ours to fit, in the order of their first places apart from the last two."""


class TemplateOverlay(Loader):
    """Gives our templates by `purser/NAME`, Flower's by their own names, and its menu with our entries in it."""

    def __init__(self) -> None:
        super().__init__(flower["template_path"])
        self._ours = HERE / "templates"

    def resolve_path(self, name: str, parent_path: str | None = None) -> str:  # noqa: ARG002 - Tornado's signature
        """Names are whole everywhere: none is relative to the template that uses it."""
        return name

    def _create_template(self, name: str) -> Template:
        text = (self._ours / name if name.startswith("purser/") else Path(self.root) / name).read_text("utf-8")
        return Template(with_our_entries(text) if name == "navbar.html" else text, name=name, loader=self)


def with_our_entries(navbar: str) -> str:
    """Return Flower's menu with ours behind its own entries; Permanent when it is not the menu we know."""
    missing = [anchor for anchor in ANCHORS if anchor not in navbar]
    if missing or navbar.index("reverse_url('broker')") > navbar.index(HOOK):
        raise Permanent(f"this Flower has no menu of 2.2: {missing or 'its first list'}. Install flower==2.2.*")
    return navbar.replace(HOOK, "".join(_entries()) + HOOK, 1)


def _entries() -> Iterator[str]:
    for one in ENTRIES:
        active = f"{{% if active_tab == '{one.tab}' %}}"
        yield (
            f'<li class="nav-item"><a class="nav-link{active} active{{% end %}}" href="{one.path}"'
            f'{active} aria-current="page"{{% end %}}>{one.title}</a></li>'
        )
