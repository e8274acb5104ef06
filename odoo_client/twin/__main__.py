"""`python -m odoo_client.twin` runs a twin until it is interrupted, and says how to reach it."""

import argparse
import json
import sys
import threading

from odoo_client.twin.server import Twin


def main() -> None:
    """Start, print url, db and keys as JSON, and wait."""
    parser = argparse.ArgumentParser(prog="python -m odoo_client.twin", description="A small Odoo in one process.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", choices=["none"], default="none", help="what it holds besides a new database")
    given = parser.parse_args()
    twin = Twin()
    url = twin.start(given.port)
    facts = {"url": url, "db": twin.db, "users": [{"login": "admin", "api_key": twin.admin_key}]}
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        twin.stop()


if __name__ == "__main__":
    main()
