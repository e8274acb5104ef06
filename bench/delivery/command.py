"""Run the measurements of delivery on this machine, and write them down."""

import argparse
import datetime as dt
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from bench.delivery import scenarios
from bench.delivery.results import BenchmarkReport, MeasurementGroup
from bench.delivery.scenarios import FULL, QUICK, Sizes
from bench.delivery.worker_process import BenchmarkEnvironment
from devtools.local.redis_server import serving

MEASURES: Mapping[str, Callable[[BenchmarkEnvironment, Sizes], MeasurementGroup]] = MappingProxyType(
    {
        act.__name__: act
        for act in (
            scenarios.transport,
            scenarios.runner,
            scenarios.fleet,
            scenarios.pools,
            scenarios.publishing,
            scenarios.idle,
            scenarios.delayed,
            scenarios.memory,
            scenarios.gate,
        )
    }
)


def main() -> None:
    """Measure, print, and write the page if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute, for a first look")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="measure only these")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the figures to this page")
    options = parser.parse_args()
    report = run(QUICK if options.quick else FULL, options.only)
    if options.write:
        options.write.write_text(report.as_page(), encoding="utf-8")
    print(json.dumps(report.as_json(), indent=2) if options.json else report.as_text())


def run(sizes: Sizes, names: Collection[str]) -> BenchmarkReport:
    """Take the named measurements on a private server."""
    began, load = time.monotonic(), os.getloadavg()[0]
    groups = []
    with tempfile.TemporaryDirectory(prefix="purser-bench-") as home, serving(Path(home) / "redis") as server:
        floor = BenchmarkEnvironment(server, Path(home))
        redis = floor.client.info("server")
        for name, act in MEASURES.items():
            if name in names:
                groups.append(act(floor, sizes))
                print(f"{name}: done after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        floor.client.close()
    machine = {
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "Python": platform.python_version(),
        "Celery, kombu": f"{version('celery')}, {version('kombu')}",
        "Redis": str(redis["redis_version"]),
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "load": f"{load:.1f} before, {os.getloadavg()[0]:.1f} after; the bench itself makes about 2",
        "took": f"{time.monotonic() - began:.0f} s",
    }
    return BenchmarkReport(machine=machine, groups=[group for group in groups if group.figures])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
