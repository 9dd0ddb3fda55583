"""The key figures, one module for each family of questions.

A question is a function of an `Inquiry`: SQL that counts, then the formulas of `agents/insights`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from schemas.figures import Figure
from streams.insights.questions.inquiry import Inquiry

Answer = Callable[[Inquiry], list[Figure]]

QUESTIONS: Mapping[str, Answer] = {}
"""By the name under which it is asked."""
