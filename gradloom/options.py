"""Command-line options of a configuration: one for every setting, derived from what its field says,
and `--set` for all of them by dotted name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, get_args, get_origin

import click

from golden import settings
from golden.settings import Bound, Leaf, Setting

#: Options whose names are not those of their settings, which say too little beside others.
_NAMES = {
    "generator.bits": "lfsr-bits",
    "generator.mask": "lfsr-mask",
    "generator.seed": "lfsr-seed",
    "conversions": "conversion",
}
#: What a value of a type is called in the help.
_KINDS = {int: "INTEGER", str: "TEXT", float: "NUMBER"}


class SettingType(click.ParamType):
    """A value of a setting on the command line, in the text form of `golden.settings`."""

    def __init__(self, hint: Any, setting: Setting):
        self.hint = hint
        self.setting = setting
        self.name = setting.form or getattr(hint, "FORM", "") or _KINDS.get(hint, "VALUE")
        if setting.hexadecimal:
            self.name = "HEX"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value that the text names."""
        if not isinstance(value, str):
            return value
        try:
            return settings.read(self.hint, self.setting, value)
        except (ValueError, TypeError) as error:
            text = str(error)
            self.fail(text if repr(value) in text else f"{value!r}: {text}", param, ctx)


def name(setting: str) -> str:
    """The option of a setting, by the setting's dotted name."""
    return "--" + _NAMES.get(setting, setting.rpartition(".")[2]).replace("_", "-")


def derived(kind: type, chosen: Mapping[str, str]) -> tuple[click.Option, ...]:
    """Options for all settings of a configuration, and `--set`.

    Parameters
    ----------
    kind
        The configuration's class.
    chosen
        Settings whose default is chosen by others, and what the help says of it.
    """
    config, leaves = kind(), settings.leaves(kind)
    example = f"{leaves[0].name}={leaves[0].show(leaves[0].of(config))}"
    by_name = click.Option(
        ["--set", "settings"],
        metavar="NAME=VALUE",
        multiple=True,
        help=f"Any setting by its name in Python, as in --set {example}; it overrides the "
        f"setting's own option. The names are {', '.join(leaf.name for leaf in leaves)}.",
    )
    return (*(_option(leaf, leaf.of(config), chosen) for leaf in leaves), by_name)


def _option(leaf: Leaf, default: Any, chosen: Mapping[str, str]) -> click.Option:
    said = _said(leaf)
    names = [name(leaf.name), parameter(leaf)]
    if leaf.hint is bool:
        if default:
            names[0] += f"/--no-{names[0][2:]}"
        return click.Option(names, is_flag=True, default=default, help=f"{said.text}.")
    if get_origin(leaf.hint) is tuple and not said.form:
        item = SettingType(get_args(leaf.hint)[0], said)
        more = f" The default is {chosen[leaf.name]}." if leaf.name in chosen else ""
        return click.Option(names, type=item, multiple=True, help=f"{said.text}.{more}")
    what: dict[str, Any] = {"type": SettingType(leaf.hint, said), "help": said.summary}
    if issubclass(get_origin(leaf.hint) or leaf.hint, StrEnum):
        what = {
            "type": click.Choice([str(value) for value in said.allowed]),
            "help": f"{said.text}.",
        }
    if leaf.name in chosen:
        return click.Option(names, show_default=chosen[leaf.name], **what)
    if default is None:
        return click.Option(names, **what)
    return click.Option(names, default=leaf.show(default), show_default=True, **what)


def _said(leaf: Leaf) -> Setting:
    """What a setting says of itself, with the settings in its range called as their options are."""
    table = leaf.name.rpartition(".")[0]

    def called(found: re.Match[str]) -> str:
        return _NAMES.get(f"{table}.{found[0]}", found[0])

    ends = (
        Bound(re.sub(r"\w+", called, end.text), end.of) if isinstance(end, Bound) else end
        for end in leaf.setting.high
    )
    return replace(leaf.setting, high=tuple(ends))


def parameter(leaf: Leaf) -> str:
    """The name under which click gives the value of a setting's option."""
    return name(leaf.name)[2:].replace("-", "_") + "s" * (leaf.name == "conversions")


def collected(unit: str, kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted name, of options by click's names, and of `--set`.

    Raises
    ------
    ValueError
        A name after `--set` is unknown, or its value cannot be read.
    """
    found: dict[str, Any] = {}
    for leaf in settings.leaves(kind):
        value = given.get(parameter(leaf))
        # An option that was not given, and has no default, has none of these.
        if value is not None and value != ():
            found[leaf.name] = value
    found |= _set(unit, kind, given.get("settings") or ())
    return found


def _set(unit: str, kind: type, texts: Iterable[str]) -> dict[str, Any]:
    known = {leaf.name: leaf for leaf in settings.leaves(kind)}
    found = {}
    for text in texts:
        _, equals, value = text.partition("=")
        path = _path(unit, text)
        if not equals:
            names = ", ".join(known)
            raise ValueError(f"--set {text}: NAME=VALUE is wanted; a NAME is one of {names}")
        if path not in known:
            raise ValueError(f"--set {text}: {_unknown(unit, path, list(known))}")
        try:
            found[path] = known[path].read(value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"--set {path} = {value!r}: {error}") from None
    return found


def _unknown(unit: str, path: str, known: list[str]) -> str:
    """That there is no such setting, and which there are."""
    inside = [one for one in known if one.startswith(f"{path}.")]
    if inside:
        return f"set one of {', '.join(inside)}"
    same = [one for one in known if one.rpartition(".")[2] == path.rpartition(".")[2]]
    near = dict.fromkeys([*same, *get_close_matches(path, known, cutoff=0.7)])
    if near:
        return f"{unit} has no setting {path}; near it are {', '.join(near)}"
    return f"{unit} has no setting {path}; it has {', '.join(known)}"


def _path(unit: str, text: str) -> str:
    """The dotted name in a text of `--set`, without the unit's name before it."""
    return text.partition("=")[0].removeprefix(f"{unit}.")


def made(unit: str, kind: type, values: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """The configuration of `values` by dotted name; an error names the option of a setting, or
    `--set` and the name where the value came by it.
    """
    by_name = {_path(unit, text) for text in given.get("settings") or ()}
    leaves = {leaf.name for leaf in settings.leaves(kind)}

    def named(path: str) -> str:
        if path in by_name:
            return f"--set {path}"
        return name(path) if path in leaves else path

    return settings.made(kind, settings.nested(values), named=named)
