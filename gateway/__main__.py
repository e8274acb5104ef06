"""The gateway as a process: `python -m gateway`, which `purser gateway` becomes."""

from gateway.server import main

if __name__ == "__main__":
    main()
