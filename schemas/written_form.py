"""Texts that have to be written in one way, which is said in words where they aren't."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Form:
    """Of a text, in `Annotated`: the pattern that the whole of it has, and that in words."""

    def __init__(self, pattern: str, words: str) -> None:
        """`words` follow *expected*: `three capital letters, such as EUR`."""
        self._pattern = re.compile(pattern)
        self._words = words

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """See pydantic."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """See pydantic."""
        return {**handler(schema), "pattern": f"^(?:{self._pattern.pattern})$"}

    def _checked(self, text: str) -> str:
        if self._pattern.fullmatch(text) is None:
            raise ValueError(f"expected {self._words}")
        return text


SystemName = Annotated[
    str,
    Form(
        "[a-z0-9][a-z0-9-]{0,39}",
        "small letters, digits and dashes, at most 40, such as negozio or negozio-it",
    ),
]
"""What a system that ours is connected with is called, also in addresses and metrics."""
