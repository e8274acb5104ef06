"""The house's own controls and automations are found by looking: a new file is enough."""

import importlib
import pkgutil
from importlib.metadata import entry_points

import tasks.automations
import tasks.controls
from purser.catalogue import Catalogue
from purser.declare import Automation, Control
from purser.errors import Mistake

PLUGINS = "purser.plugins"
"""The entry-point group under which other distributions name their modules of declarations."""


def catalogue() -> Catalogue:
    """Give everything declared under `tasks/` and by plug-ins; Mistake when a name is declared twice."""
    modules = [
        importlib.import_module(found.name)
        for package in (tasks.controls, tasks.automations)
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + ".")
    ]
    for plugin in entry_points(group=PLUGINS):
        try:
            modules.append(plugin.load())
        except ImportError as error:
            raise Mistake(f"plug-in `{plugin.name}` ({plugin.value}) cannot be imported: {error}") from error
    declared = {
        id(value): value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, (Control, Automation))
    }
    return Catalogue.of(declared.values())
