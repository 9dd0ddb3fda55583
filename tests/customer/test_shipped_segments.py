"""The examples in `segments.yaml` are right, also those that a shop has yet to take out of their
comment."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.rules.fields import FieldRegistry
from agents.rules.segments import compile_segments
from schemas.definitions import DEFINITION
from schemas.definitions.shop import Segment, Segments
from schemas.yaml_text import Document
from tests.harness import FILES

TEXT = (Path(__file__).parents[2] / "workflows" / "segments.yaml").read_text(encoding="utf-8")
EXAMPLES = [Document(line[1:]).content[0] for line in TEXT.splitlines() if line.startswith("#  - ")]


def test_the_examples_are_there() -> None:
    assert len(EXAMPLES) >= 15
    assert all(set(example["title"]) == {"it", "en"} for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["id"]))
def test_an_example_is_right(example: dict[str, object]) -> None:
    definitions = [DEFINITION.validate_json(content) for content in FILES.values()]
    live = next(each for each in definitions if isinstance(each, Segments))
    added = live.model_copy(update={"segments": [*live.segments, Segment.model_validate(example)]})
    everything = [each for each in definitions if each is not live]
    compile_segments(added, FieldRegistry([*everything, added]))
