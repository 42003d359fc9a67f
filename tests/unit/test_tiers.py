"""A tier that cannot run says why, and fails where it is required."""

from __future__ import annotations

import pytest

from tests.tiers import require, required


def test_a_tier_that_cannot_run_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGED_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="netns: no root"):
        require("netns", "no root")


def test_a_required_tier_fails_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_REQUIRE", "vm, netns")
    with pytest.raises(pytest.fail.Exception, match="no root; EDGED_REQUIRE=vm, netns forbids skipping the netns tier"):
        require("netns", "no root")


def test_an_unknown_tier_in_edged_require_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_REQUIRE", "netns,vn")
    with pytest.raises(pytest.UsageError, match="names no tier: vn"):
        required()
