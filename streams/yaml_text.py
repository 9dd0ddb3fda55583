"""YAML as people expect it: only `true` and `false` are truth values.

PyYAML follows YAML 1.1, where `on`, `off`, `yes` and `no` are too; our files have a key `on`, and
`country: NO` is Norway. Times such as `09:00` stay text as well, where 1.1 reads base 60.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_BOOL = "tag:yaml.org,2002:bool"
_KEPT = frozenset({"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"})
_NUMBERS = (
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789")),
    ("tag:yaml.org,2002:float",
     re.compile(r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"), list("-+.0123456789")),
)  # fmt: skip


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|false)$"), list("tf"))
for _tag, _pattern, _first in _NUMBERS:
    Loader.add_implicit_resolver(_tag, _pattern, _first)


def read_yaml(text: str) -> Any:
    """Return the content of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=Loader)  # a SafeLoader
