"""Settings: the fields of configurations. One codec checks, reads and prints them all.

A configuration is a frozen dataclass whose fields are made by `setting`: default, meaning and range
stand beside the name, and everything else follows from them and from the field's type. A field that
is a configuration itself is a table; its settings have dotted names, as in `macc.a`. A class with
`parse` and `text`, as `golden.fixed.Fixed` is, is one value with one text.

A value has three forms: the one in Python; the plain one of TOML and JSON, read and made in
`plain`; and a text, as on the command line, read and made in `text`.
"""

from golden.settings.checks import check_settings, exact
from golden.settings.fields import Bound, Rate, Setting, names, of_fields, setting
from golden.settings.plain import Naming, flat, made, mapping, nested, table
from golden.settings.text import NONE, Leaf, leaves, read, shown, text_of, varied

__all__ = [
    "NONE",
    "Bound",
    "Leaf",
    "Naming",
    "Rate",
    "Setting",
    "check_settings",
    "exact",
    "flat",
    "leaves",
    "made",
    "mapping",
    "names",
    "nested",
    "of_fields",
    "read",
    "setting",
    "shown",
    "table",
    "text_of",
    "varied",
]
