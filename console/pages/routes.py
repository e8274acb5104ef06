"""Every address of ours and what answers it."""

from concurrent.futures import Executor
from typing import Any

from tornado.web import StaticFileHandler, url

from console.pages import (
    broker_queues,
    cases,
    control_runs,
    dead_letter_edit,
    dead_letters,
    delayed,
    export,
    menu,
    refusals,
    replay_previews,
    replays,
)
from console.pages.presentation import user_names
from workers.context import WorkerContext


def routes(fleet: WorkerContext, executor: Executor) -> list[Any]:
    """Return the routes to put before Flower's."""
    parts = {"fleet": fleet, "executor": executor}
    return [
        url(r"/purser/static/(.*)", StaticFileHandler, {"path": menu.STATIC}),
        url(r"/dead", dead_letters.DeadLetterGroupsPage, parts),
        url(r"/dead/letters", dead_letters.DeadLettersPage, parts),
        url(r"/dead/letter", dead_letters.DeadLetterPage, parts),
        url(
            r"/dead/plan",
            replay_previews.ReplayPreviewPage,
            {**parts, "planner": replay_previews.PreviewWorker(fleet)},
        ),
        url(r"/dead/edit", dead_letter_edit.EditPage, parts),
        url(r"/dead/export", export.ExportPage, parts),
        url(r"/dead/buried", export.TombstonesPage, parts),
        url(r"/dead/start", replays.StartReplayPage, parts),
        url(r"/dead/replays", replays.ReplaysPage, parts),
        url(r"/dead/replay", replays.ReplayPage, parts),
        url(r"/cases", cases.CasesPage, {**parts, "names": user_names.UserNameCache(fleet)}),
        url(r"/runs", control_runs.ControlRunsPage, parts),
        url(r"/refusals", refusals.RefusalsPage, parts),
        url(r"/refusal", refusals.RefusalPage, parts),
        url(r"/delayed", delayed.DelayedPage, parts),
        url(r"/broker", broker_queues.BrokerPage),
        url(r"/api/queues/length", broker_queues.QueueLengths),
    ]
