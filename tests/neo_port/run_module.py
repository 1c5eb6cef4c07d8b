"""Stand-alone: runs one module of NEO's own tests; a line of JSON says how it went.

``python run_module.py MODULE``. What NEO expects to fail is skipped by its decorator:
skipped tests are its expected failures.
"""

import json
import sys
import unittest


class Loader(unittest.TestLoader):
    """ZODB 5 calls its storage tests check*, ZODB 6 test*."""

    def getTestCaseNames(self, testCaseClass: type) -> list[str]:
        names = list(super().getTestCaseNames(testCaseClass))
        if testCaseClass.__module__.startswith("neo.tests.zodb."):
            names += (it for it in dir(testCaseClass) if it.startswith("check"))
        return names


def main(module: str) -> None:
    suite = Loader().loadTestsFromName(module)
    count = suite.countTestCases()
    result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
    failed = [it.id().rsplit(".", 1)[1] for it, _ in result.failures + result.errors]
    print(  # noqa: T201 - its answer
        json.dumps(
            {
                "tests": count,
                "expected": len(result.skipped) + len(result.expectedFailures),
                "failed": sorted(failed),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
