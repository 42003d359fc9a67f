"""What all sections of the files have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in a file: its keys are known ones, and nobody changes it once it is read."""

    # deferred, because a section is checked as a part of its file: building validators for each by itself costs 20 ms at start
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
