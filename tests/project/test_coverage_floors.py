"""The floors of `make coverage` are compared as they say."""

from __future__ import annotations

from pathlib import Path

from tests.coverage_floors import FLOORS, Counted, below, rooms

ROOT = Path(__file__).parents[2]


def test_lines_are_counted_by_room() -> None:
    def file(lines: int, run: int) -> dict[str, dict[str, int]]:
        return {"summary": {"num_statements": lines, "covered_lines": run}}

    report = {
        "files": {
            "schemas/records.py": file(10, 9),
            "schemas/events/person.py": file(10, 10),
            "agents/context.py": file(4, 4),
            "agents/mail/message/compose.py": file(8, 2),
            "streams/mail/smtp.py": file(0, 0),
        }
    }
    assert rooms(report) == {
        "agents": Counted(4, 4),
        "agents/mail": Counted(8, 2),
        "schemas": Counted(20, 19),
        "streams/mail": Counted(0, 0),
    }


def test_a_room_below_its_floor_is_named() -> None:
    measured = {"schemas": Counted(200, 189), "agents": Counted(10, 10)}
    assert below(measured, {"schemas": 94, "agents": 100}) == []
    assert below(measured, {"schemas": 95, "agents": 100}) == [
        "schemas: 94.5 % of 200 lines, its floor is 95 %"
    ]


def test_rooms_and_floors_are_the_same() -> None:
    assert below({"agents": Counted(1, 1)}, {}) == [
        "agents: has no floor in tests/coverage_floors.py"
    ]
    assert below({}, {"agents": 1}) == ["agents: is in tests/coverage_floors.py only"]
    folders = {
        "/".join(part for part in path.relative_to(ROOT).parts[:2] if not part.endswith(".py"))
        for layer in ("agents", "streams")
        for path in (ROOT / layer).rglob("*.py")
    }
    assert set(FLOORS) == folders | {"schemas"}
