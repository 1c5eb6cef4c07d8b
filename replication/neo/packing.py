"""Shell. Packs a neo_cluster, as a program of its own: it waits as long as that takes.

``main`` takes the neo_masters, the name of the neo_cluster and seconds since 1970.
"""

from __future__ import annotations

import sys


def main() -> None:
    from neo.client.Storage import Storage  # type: ignore[import-untyped] # noqa: PLC0415
    from ZODB.serialize import referencesf  # type: ignore[import-untyped] # noqa: PLC0415

    neo_masters, name, up_to = sys.argv[1:]
    storage = Storage(master_nodes=neo_masters, name=name)
    try:
        storage.pack(float(up_to), referencesf)
    finally:
        storage.close()


if __name__ == "__main__":
    main()
