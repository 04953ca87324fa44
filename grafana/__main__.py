"""Write the dashboards: python -m grafana. In: the modules beside this one. Out: dashboards/*.json."""

from grafana.board import FOLDER, Board, as_json
from grafana.latency import LATENCY
from grafana.pipeline import PIPELINE
from grafana.system import SYSTEM
from grafana.throughput import THROUGHPUT

BOARDS: tuple[Board, ...] = (THROUGHPUT, LATENCY, PIPELINE, SYSTEM)


def main() -> None:
    """Write each dashboard into its file."""
    for board in BOARDS:
        path = FOLDER / f"{board.name}.json"
        path.write_text(as_json(board))
        print(f"wrote {path.relative_to(FOLDER.parents[1])}")


if __name__ == "__main__":
    main()
