"""Wall time of a bisection against its builds' own times, with look-ahead on and off.

    python benchmarks/bisect.py [--real --good B --bad B] [--help]

The benchmark itself is ``benchmarks/look_ahead.py``. This file has the name of a standard module:
whoever runs a script of this directory finds it where the standard one is meant, hence the guard.
"""

if __name__ == "bisect":
    from _bisect import *  # noqa: F403 - what the standard module consists of
    from _bisect import bisect_right as bisect  # noqa: F401
    from _bisect import insort_right as insort  # noqa: F401
elif __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

    from benchmarks.look_ahead import main

    sys.exit(main())
