"""What all definition files have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""An id of a workflow, a step, a template, a campaign: it may stand in a label and in a path."""

Texts = dict[str, str]
"""The same words in several languages: `{it: …, en: …}`."""


class Definition(BaseModel):
    """Common to all definition files. Unknown fields are errors: a typo must not be silent."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", populate_by_name=True)
