"""Imported first by the program and by the server that its workers are forked from, for what it does.

Arrow imports pandas, where it is installed, with the first array that it makes: half a second and 35 MB per process,
for nothing here. From here on, in this process, pandas is not to be found.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder


class _Without(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("loadgen does without pandas", name=name)


sys.meta_path.insert(0, _Without())
