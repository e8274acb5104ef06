"""The house's own controls, automations and watches are found by looking: a new file is enough."""

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import Any

import tasks.automations
import tasks.controls
import tasks.watchers
from purser.declarations import Automation, Control
from purser.errors import ConfigurationError
from purser.registry import Registry
from purser.watchers import Watcher

PLUGINS = "purser.plugins"
"""The entry-point group under which other distributions name their modules of declarations."""


def load_registry() -> Registry:
    """Return everything declared under `tasks/` and by plug-ins; ConfigurationError when a name is declared twice."""
    modules = [
        _loaded(found.name, partial(importlib.import_module, found.name))
        for package in (tasks.controls, tasks.automations, tasks.watchers)
        for found in pkgutil.iter_modules(package.__path__, package.__name__ + ".")
    ]
    modules += [
        _loaded(f"plug-in `{plugin.name}` ({plugin.value})", plugin.load) for plugin in entry_points(group=PLUGINS)
    ]
    declared = {
        id(value): value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, (Control, Automation, Watcher))
    }
    return Registry.of(declared.values())


def _loaded(what: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ConfigurationError as error:
        raise ConfigurationError(f"{what}: {error}") from error
    except Exception as error:
        raise ConfigurationError(f"{what} cannot be imported: {type(error).__name__}: {error}") from error
