"""What `edged render` prints is nft's language: nft accepts every golden text."""

from __future__ import annotations

import subprocess

import pytest

from tests.golden.cases import CASES, expected
from tests.netns.queue import as_known_here


@pytest.mark.parametrize("case", CASES)
def test_nft_accepts_the_rendered_text(case: str) -> None:
    argv = ["unshare", "--net", "nft", "--check", "--file", "-"]
    text = as_known_here(expected(case).read_text())
    judged = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")
