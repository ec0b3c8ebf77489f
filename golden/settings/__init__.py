"""Settings: the fields of configurations. One codec checks, reads and prints all of them.

A configuration is a frozen dataclass whose fields are made by `setting`, with default, meaning and
range. Checks, texts and command-line options follow from these and from the field's type. A field
whose type is a configuration is a table; its settings have dotted names, as `macc.a`. A class with
`parse` and `text`, as `golden.fixed.Fixed`, is a single value with a text.

A value has three forms: a Python object; the plain form of TOML and JSON, in the module `plain`;
and a text, as on the command line, in the module `text`.
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
