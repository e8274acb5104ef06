"""List what can be measured: every file here is one measurement, with its own options."""

import pkgutil
import sys
from importlib import import_module

import bench


def main() -> int:
    """Run the measurement that is named, or list them."""
    names = [found.name for found in pkgutil.iter_modules(bench.__path__) if found.name != "__main__"]
    if len(sys.argv) > 1 and sys.argv[1] in names:
        sys.argv = [f"bench {sys.argv[1]}", *sys.argv[2:]]
        import_module(f"bench.{sys.argv[0].split()[1]}").main()
        return 0
    for name in names:
        told = import_module(f"bench.{name}").__doc__ or ""
        print(f"  {name:<8} {told.splitlines()[0]}")
    print('Run one with its options: make bench ARGS="ensure --help"')
    return 0 if len(sys.argv) == 1 else 2


if __name__ == "__main__":
    raise SystemExit(main())
