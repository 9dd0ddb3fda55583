"""Files in which an operator says what goes where: YAML, checked as a whole before it is used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from schemas.failures import InputError
from schemas.yaml_text import Document

_Model = TypeVar("_Model", bound=BaseModel)

_SECRET = re.compile("secret|token")
"""In the name of what is never shown: somebody may have written it there in place of where it is.
"""


class OutboundFileError(InputError):
    """A file that can't be used; the text names it, the line and the value, and holds no secret."""


def read_model(path: Path, model: type[_Model]) -> _Model:
    """Return what a file says. Raises OutboundFileError."""
    try:
        document = Document(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutboundFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OutboundFileError(f"{path}: not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise OutboundFileError(f"{path}{line}: {error.problem or 'not YAML'}") from None
    except yaml.YAMLError as error:
        raise OutboundFileError(f"{path}: {str(error)[:200]}") from None
    try:
        return model.model_validate(document.content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A field that there is none of is most likely the one that is missing.
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        where = ".".join(map(str, first["loc"])) or "the file"
        given = first["input"]
        may_be_seen = isinstance(given, str | int | float) and not _SECRET.search(where)
        shown = f" (got {str(given)[:60]!r})" if may_be_seen else ""
        what = first["msg"].removeprefix("Value error, ")
        number = document.line(first["loc"])
        raise OutboundFileError(f"{path}, line {number}: {where}: {what}{shown}") from None
