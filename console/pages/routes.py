"""Every address of ours and what answers it."""

from concurrent.futures import Executor
from typing import Any

from tornado.web import StaticFileHandler, url

from console.pages import carried, cases, delayed, edits, letters, menu, names, plans, queues, refusals, replays, runs
from workers.context import WorkerContext


def routes(fleet: WorkerContext, executor: Executor) -> list[Any]:
    """Give the routes to put before Flower's."""
    parts = {"fleet": fleet, "executor": executor}
    return [
        url(r"/purser/static/(.*)", StaticFileHandler, {"path": menu.STATIC}),
        url(r"/dead", letters.GroupsPage, parts),
        url(r"/dead/letters", letters.ListPage, parts),
        url(r"/dead/letter", letters.LetterPage, parts),
        url(r"/dead/plan", plans.PlanPage, {**parts, "planner": plans.Planner(fleet)}),
        url(r"/dead/edit", edits.EditPage, parts),
        url(r"/dead/export", carried.ExportPage, parts),
        url(r"/dead/buried", carried.BuriedPage, parts),
        url(r"/dead/start", replays.StartPage, parts),
        url(r"/dead/replays", replays.ListPage, parts),
        url(r"/dead/replay", replays.ReplayPage, parts),
        url(r"/cases", cases.ListPage, {**parts, "names": names.Names(fleet)}),
        url(r"/runs", runs.ListPage, parts),
        url(r"/refusals", refusals.ListPage, parts),
        url(r"/refusal", refusals.EntryPage, parts),
        url(r"/delayed", delayed.ListPage, parts),
        url(r"/broker", queues.BrokerPage),
        url(r"/api/queues/length", queues.QueueLengths),
    ]
