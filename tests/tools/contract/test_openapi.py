"""The ingest port is OpenAPI, answers as it says whatever is posted, and takes nothing of the last
release away."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from streams.tools.contract.compatibility import lost_calls
from streams.tools.contract.openapi import document
from streams.tools.contract.page import RELEASED_CALLS
from tests.http.ingest.posting import SECRET, posting

RELEASED = Path(__file__).parents[3] / "docs" / "contract" / RELEASED_CALLS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def test_it_is_openapi_3_1() -> None:
    assert list(OpenAPIV31SpecValidator(document()).iter_errors()) == []
    assert list(OpenAPIV31SpecValidator({**document(), "paths": []}).iter_errors()) != []


async def test_the_port_answers_as_it_says(tmp_path: Path) -> None:
    """Schemathesis makes requests of the document, and compares the answers with it."""
    async with posting(tmp_path) as port:
        schema = schemathesis.openapi.from_dict(document())
        operations = [each.ok() for each in schema.get_all_operations()]
        for operation in operations:
            await asyncio.to_thread(_try, operation, port.root)
        assert len(operations) == len(document()["paths"])
        assert await port.events(), "something was believed"


def _try(operation: Any, root: str) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=5,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def answer(case: Any) -> None:
        response = case.call(base_url=root, auth=(SECRET, ""))
        case.validate_response(response, checks=CHECKS)

    answer()


def test_nothing_of_the_last_release_is_taken_away() -> None:
    released = json.loads(RELEASED.read_text(encoding="utf-8"))
    assert lost_calls(released, document()) == []
    less = copy.deepcopy(document())
    del less["paths"]["/v1/import"]
    less["components"]["schemas"]["track"]["required"].append("timestamp")
    del less["components"]["schemas"]["taken"]["properties"]["bots"]
    assert set(lost_calls(released, less)) >= {
        "/v1/import: gone",
        "track.timestamp: needed, and was not",
        "taken.bots: gone",
    }
