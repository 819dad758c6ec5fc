"""``python -m tests.mutants``: the detection rate, and every survivor."""

import sys
import time
from collections import Counter

from tests.mutants.suite import open_panel, run_all


def main() -> int:
    """Run every mutant; returns 1 where one survives."""
    started = time.perf_counter()
    with open_panel() as panel:
        cells = len(panel.baseline)
        print(f"{cells} cells seen without mutants in {time.perf_counter() - started:.0f} s")
        fates = []
        for fate in run_all(panel):
            fates.append(fate)
            end = f"{fate.kill.check} ({fate.kill.cell})" if fate.kill else "SURVIVES"
            print(f"{fate.area:8} {fate.name}: {end}", flush=True)
    survivors = [fate for fate in fates if fate.kill is None]
    killed = len(fates) - len(survivors)
    print()
    for check, count in Counter(fate.kill.check for fate in fates if fate.kill).most_common():
        print(f"{count:4} killed by {check}")
    print(
        f"{killed} of {len(fates)} mutants killed ({killed / len(fates):.1%}) in "
        f"{time.perf_counter() - started:.0f} s"
    )
    for fate in survivors:
        print(f"survivor: {fate.area}: {fate.name}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
