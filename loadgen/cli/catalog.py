"""`loadgen catalog build|show|export|import`: the music catalogue in the user's cache folder.

In: which catalogue. Out: a line or a table on stdout, or one JSON object; the building shows a progress bar on stderr.
"""

import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadgen.cli.command import examples
from loadgen.config import RunSettings, names, resolve
from loadgen.config.masks import hidden
from loadgen.config.values import BadValue
from loadgen.errors import UsageError

if TYPE_CHECKING:
    from loadgen.simulate.catalog import Catalog

catalog = typer.Typer(help="Build, show, export or import the music catalogue.")


def _option(flag: str, metavar: str, help: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=help, show_default=False)


Tracks = Annotated[str | None, _option("--tracks", "N", "Tracks in the catalogue. Default: 800000.")]
Name = Annotated[str | None, _option("--catalog", "NAME", "An imported catalogue.")]
Config = Annotated[str | None, _option("--config", "FILE", "TOML file of settings.")]
AsJson = Annotated[bool, _option("--json", " ", "Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    """Add `catalog` to the program."""
    app.add_typer(
        catalog, name="catalog", epilog=examples("loadgen catalog show", "loadgen catalog import mine.parquet")
    )


@catalog.command(epilog=examples("loadgen catalog build", "loadgen catalog build --tracks 2M"))
def build(tracks: Tracks = None, config: Config = None) -> None:
    """Build the catalogue in the cache folder, unless it is there already."""
    opened = _opened(_settings(tracks=tracks, config=config))
    typer.echo(f"{opened.path}: {opened.n_tracks:,} tracks of {opened.n_artists:,} artists")


@catalog.command(
    epilog=examples("loadgen catalog show", "loadgen catalog show --json", "loadgen catalog show --catalog mine")
)
def show(tracks: Tracks = None, name: Name = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what is in a catalogue: tiers, genres, the most played artists, examples."""
    from loadgen.simulate.catalog import summary

    facts = summary(_opened(_settings(tracks=tracks, catalog=name, config=config)))
    if as_json:
        typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print_facts(facts)


@catalog.command(
    epilog=examples("loadgen catalog export tracks.parquet", "loadgen catalog export tracks.csv --tracks 20k")
)
def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to: .parquet, .csv or .jsonl.")],
    tracks: Tracks = None,
    name: Name = None,
    config: Config = None,
) -> None:
    """Write a catalogue to a file that other programs read."""
    from loadgen.simulate.catalog_export import export_catalog, replaces_export, writer_for

    target = _path(file)
    writer_for(target)  # what is wrong with the name is said before a catalogue is built
    if replaces_export(target):
        typer.echo(f"{target}: replaces the export that was there", err=True)
    opened = _opened(_settings(tracks=tracks, catalog=name, config=config))
    export_catalog(opened, target)
    typer.echo(f"{target}: {opened.n_tracks:,} tracks")


@catalog.command(
    "import",
    epilog=examples("loadgen catalog import mine.parquet", "loadgen catalog import mine.csv --name mine --strict"),
)
def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A .parquet or .csv file with artist and title at least.")
    ],
    name: Annotated[str | None, _option("--name", "NAME", "Default: the file's name.")] = None,
    strict: Annotated[bool, _option("--strict", " ", "Refuse the file if a single row cannot be taken.")] = False,
) -> None:
    """Take in a catalogue of your own; `loadgen run --catalog NAME` uses it.

    Rows that cannot be taken (without artist or title, with a length of 0) are left out and counted.
    """
    from loadgen.simulate.catalog import cache_folder
    from loadgen.simulate.catalog_import import import_catalog

    source = _path(file)
    chosen = _name(source.stem if name is None else name)
    imported = import_catalog(source, cache_folder(), chosen, strict=strict)
    typer.echo(f"{imported.path}: {imported.n_tracks:,} tracks of {imported.n_artists:,} artists")
    if imported.n_left_out:
        n_rows = imported.n_tracks + imported.n_left_out
        typer.echo(f"left out {imported.n_left_out:,} of {n_rows:,} rows:")
        for reason in imported.left_out:
            typer.echo(f"  {reason}")
    typer.echo(f"use it with: loadgen run --catalog {chosen}")


def _settings(**flags: str | None) -> RunSettings:
    """The settings of the catalogue, resolved as for `run`: flag, variable, file, default."""
    given = {name: value for name, value in flags.items() if value is not None}
    return resolve(RunSettings, given, os.environ).settings


def _path(text: str) -> Path:
    try:
        return names.path(text)
    except BadValue as bad:
        raise UsageError(f"FILE {bad.rule}, got {hidden(repr(text))}; {bad.next_step}") from None


def _name(text: str) -> str:
    try:
        return names.name(text)
    except BadValue as bad:
        raise UsageError(f"a catalogue's name {bad.rule}, got {hidden(repr(text))}; give another with --name") from None


def _opened(settings: RunSettings) -> "Catalog":
    """The catalogue, built first if it is missing, with a progress bar on stderr."""
    from loadgen.simulate.catalog import CatalogSettings, cache_folder, open_catalog, open_imported

    if settings.catalog is not None:
        return open_imported(settings.catalog, cache_folder())
    with ExitStack() as stack:
        return open_catalog(CatalogSettings(n_tracks=settings.tracks), cache_folder(), _Bar(stack))


class _Bar:
    """A progress bar that appears with the first progress."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._shown: Any = None

    def __call__(self, share: float, doing: str) -> None:
        if self._shown is None:
            from rich.console import Console
            from rich.progress import Progress

            self._shown = self._stack.enter_context(Progress(console=Console(stderr=True)))
            self._task = self._shown.add_task(doing, total=1.0)
        self._shown.update(self._task, completed=share, description=doing)


def _print_facts(facts: dict[str, Any]) -> None:
    """Single facts as lines, lists of objects as tables."""
    from rich.console import Console

    console = Console(highlight=False)
    for name, value in facts.items():
        if isinstance(value, list):
            console.print(_table(name, value))
        elif isinstance(value, dict):
            for key, items in value.items():
                console.print(f"{name}, {key}: {', '.join(map(str, items))}", markup=False, soft_wrap=True)
        else:
            console.print(f"{name}: {_cell(value)}", markup=False, soft_wrap=True)


def _table(title: str, rows: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*(name.replace("_", " ") for name in (rows[0] if rows else ())), title=title.replace("_", " "))
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
