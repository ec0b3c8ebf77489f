"""Command-line options of a configuration: one for every setting, derived from the setting's field,
and `--set` for every setting by its dotted name.
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

#: Names of options for settings whose own names would be unclear among other options.
_NAMES = {
    "generator.bits": "lfsr-bits",
    "generator.mask": "lfsr-mask",
    "generator.seed": "lfsr-seed",
    "conversions": "conversion",
}
#: Name of a value in the help, by its type.
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
        """Return the value of a text."""
        if not isinstance(value, str):
            return value
        try:
            return settings.read(self.hint, self.setting, value)
        except (ValueError, TypeError) as error:
            text = str(error)
            self.fail(text if repr(value) in text else f"{value!r}: {text}", param, ctx)


def name(setting: str) -> str:
    """Return the option of a setting, given the setting's dotted name."""
    return "--" + _NAMES.get(setting, setting.rpartition(".")[2]).replace("_", "-")


def derived(kind: type, chosen: Mapping[str, str]) -> tuple[click.Option, ...]:
    """Return options for all settings of a configuration, and `--set`.

    Parameters
    ----------
    kind
        The configuration's class.
    chosen
        Descriptions of the defaults that depend on other settings, by dotted name.
    """
    config, leaves = kind(), settings.leaves(kind)
    example = f"{leaves[0].name}={leaves[0].show(leaves[0].of(config))}"
    by_name = click.Option(
        ["--set", "settings"],
        metavar="NAME=VALUE",
        multiple=True,
        help=f"Any setting by its name in Python, for example --set {example}. It overrides the "
        f"setting's own option. The names are {', '.join(leaf.name for leaf in leaves)}.",
    )
    return (*(_option(leaf, leaf.of(config), chosen) for leaf in leaves), by_name)


def _option(leaf: Leaf, default: Any, chosen: Mapping[str, str]) -> click.Option:
    setting = _with_option_names(leaf)
    names = [name(leaf.name), parameter(leaf)]
    if leaf.hint is bool:
        if default:
            names[0] += f"/--no-{names[0][2:]}"
        return click.Option(names, is_flag=True, default=default, help=f"{setting.text}.")
    if get_origin(leaf.hint) is tuple and not setting.form:
        item = SettingType(get_args(leaf.hint)[0], setting)
        more = f" The default is {chosen[leaf.name]}." if leaf.name in chosen else ""
        return click.Option(names, type=item, multiple=True, help=f"{setting.text}.{more}")
    arguments: dict[str, Any] = {"type": SettingType(leaf.hint, setting), "help": setting.summary}
    if issubclass(get_origin(leaf.hint) or leaf.hint, StrEnum):
        arguments = {
            "type": click.Choice([str(value) for value in setting.allowed]),
            "help": f"{setting.text}.",
        }
    if leaf.name in chosen:
        return click.Option(names, show_default=chosen[leaf.name], **arguments)
    if default is None:
        return click.Option(names, **arguments)
    return click.Option(names, default=leaf.show(default), show_default=True, **arguments)


def _with_option_names(leaf: Leaf) -> Setting:
    """Return a setting with the names of options in place of settings' names in its range."""
    table = leaf.name.rpartition(".")[0]

    def called(found: re.Match[str]) -> str:
        return _NAMES.get(f"{table}.{found[0]}", found[0])

    ends = (
        Bound(re.sub(r"\w+", called, end.text), end.of) if isinstance(end, Bound) else end
        for end in leaf.setting.high
    )
    return replace(leaf.setting, high=tuple(ends))


def parameter(leaf: Leaf) -> str:
    """Return click's name for the value of a setting's option."""
    return name(leaf.name)[2:].replace("-", "_") + "s" * (leaf.name == "conversions")


def collected(unit: str, kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of options, given by click's names, and of `--set`, by dotted name.

    Raises
    ------
    ValueError
        A name after `--set` is unknown, or its value cannot be read.
    """
    found: dict[str, Any] = {}
    for leaf in settings.leaves(kind):
        value = given.get(parameter(leaf))
        # An option that was not given and has no default is None or ().
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
            raise ValueError(f"--set {text}: give NAME=VALUE; a NAME is one of {names}")
        if path not in known:
            raise ValueError(f"--set {text}: {_unknown(unit, path, list(known))}")
        try:
            found[path] = known[path].read(value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"--set {path} = {value!r}: {error}") from None
    return found


def _unknown(unit: str, path: str, known: list[str]) -> str:
    """Return an error text for an unknown setting, with similar names."""
    inside = [one for one in known if one.startswith(f"{path}.")]
    if inside:
        return f"set one of {', '.join(inside)}"
    same = [one for one in known if one.rpartition(".")[2] == path.rpartition(".")[2]]
    near = dict.fromkeys([*same, *get_close_matches(path, known, cutoff=0.7)])
    if near:
        return f"{unit} has no setting {path}; similar names are {', '.join(near)}"
    return f"{unit} has no setting {path}; it has {', '.join(known)}"


def _path(unit: str, text: str) -> str:
    """Return the dotted name in a text of `--set`, without the unit's name before it."""
    return text.partition("=")[0].removeprefix(f"{unit}.")


def made(unit: str, kind: type, values: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Return the configuration for `values` by dotted name. An error names the setting's option, or
    `--set` and the setting if that is where the value is from.
    """
    by_name = {_path(unit, text) for text in given.get("settings") or ()}
    leaves = {leaf.name for leaf in settings.leaves(kind)}

    def named(path: str) -> str:
        if path in by_name:
            return f"--set {path}"
        return name(path) if path in leaves else path

    return settings.made(kind, settings.nested(values), named=named)
