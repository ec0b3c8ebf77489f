"""`gradloom data`: fetches data sets from the network, on request only."""

from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

from gradloom.cli.base import Output, cli, show_json, shown, stderr
from gradloom.train.fetching import SOURCES, FetchError, default_folder, fetch


@cli.group(
    help="List and fetch data sets to train with.",
    short_help="List and fetch data sets.",
)
def data() -> None:
    """The command `gradloom data`."""


@data.command(
    "list",
    help="List the data sets that can be fetched: size, licence, and whether they are complete.",
    short_help="List the data sets that can be fetched.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_command(as_json: bool) -> None:
    """The command `gradloom data list`."""
    rows: dict[str, dict[str, Any]] = {}
    for name, source in SOURCES.items():
        folder = default_folder(name)
        rows[name] = {
            "title": source.title,
            "bytes": source.size,
            "files": len(source.files) + len(source.unpacked),
            "missing": source.missing(folder),
            "folder": str(folder),
            "home": source.home,
            "licence": source.licence,
        }
    if as_json:
        show_json(rows)
        return
    for name, row in rows.items():
        absent, parts = len(row["missing"]), row["files"]
        state = "there" if not absent else "not there"
        if 0 < absent < parts:
            state = f"incomplete, {absent} of {parts} files are missing"
        click.echo(f"{name}: {row['title']}")
        click.echo(f"  {row['bytes'] / 1e6:,.1f} MB, {state}: {row['folder']}")
        click.echo(f"  {row['home']}, licence: {row['licence']}")


@data.command(
    "fetch",
    help=(
        "Fetch a data set, check its hashes, and print its folder, for `train --data`.\n\n"
        "After an interruption, call it again: files that are complete are only checked."
    ),
    short_help="Fetch a data set and print its folder.",
)
@click.argument("name", type=click.Choice(list(SOURCES)))
@click.option(
    "--to",
    type=Output(),
    metavar="DIR",
    help="Folder for the files, made if it is missing. The default is NAME in the user's cache.",
)
@click.option(
    "--mirror",
    "mirrors",
    metavar="URL",
    multiple=True,
    help="Address of a folder with the files, used instead of the published addresses; may be "
    "given several times. The hashes are checked as well.",
)
def fetch_command(name: str, to: Path | None, mirrors: tuple[str, ...]) -> None:
    """The command `gradloom data fetch`."""
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise click.BadParameter(
                f"{mirror!r}: an address with http:// or https:// is wanted",
                param_hint="--mirror",
            )
    folder = default_folder(name) if to is None else to
    with shown(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    ) as progress:
        try:
            fetch(
                SOURCES[name],
                folder,
                mirrors,
                say=lambda line: stderr.print(line, highlight=False, markup=False, soft_wrap=True),
                progress=progress,
            )
        except FetchError as error:
            raise click.ClickException(str(error)) from error
    click.echo(folder)
