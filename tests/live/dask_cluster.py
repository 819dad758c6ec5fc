"""A Dask cluster of two worker processes, for as long as standard input is open.

Run as a program: prints one JSON line with the scheduler's address and the workers' process ids.
"""

import json
import sys

from distributed import Client, LocalCluster


def main() -> None:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        pids = list(client.run(_pid).values())
        print(json.dumps({"address": cluster.scheduler_address, "pids": pids}), flush=True)
        sys.stdin.read()


def _pid() -> int:
    import os

    return os.getpid()


if __name__ == "__main__":
    main()
