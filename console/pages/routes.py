"""Every address of ours and what answers it."""

from concurrent.futures import Executor
from typing import Any

from tornado.web import StaticFileHandler, url

from console.pages import cases, menu
from workers.fleet import Fleet


def routes(fleet: Fleet, executor: Executor) -> list[Any]:
    """Give the routes to put before Flower's."""
    parts = {"fleet": fleet, "executor": executor}
    return [
        url(r"/purser/static/(.*)", StaticFileHandler, {"path": menu.STATIC}),
        url(r"/cases", cases.ListPage, parts),
    ]
