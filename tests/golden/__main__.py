"""Write the golden files anew. Only where events are meant to change: say so in the commit and in CHANGELOG.md."""

import sys

from tests.golden.golden import golden_path, made_now

if __name__ == "__main__":
    for wire_format in ("activity", "listen", "full"):
        golden_path(wire_format).write_bytes(made_now(wire_format))
        sys.stdout.write(f"{golden_path(wire_format)}\n")
