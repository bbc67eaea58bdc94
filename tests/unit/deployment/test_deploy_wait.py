"""What a deploy says about another one that it waits for."""

from __future__ import annotations

import pytest

from incamera.deployment.apply import describe_wait
from incamera.runtime.launcher.protocol import Waiting


@pytest.mark.parametrize(
    ("owner", "app", "said"),
    [
        ("anna@desk", "", "anna@desk has been deploying door to cam:/tmp for 7 s: waiting; --take-over"),
        ("anna@desk", "gate", "anna@desk has been deploying gate to cam:/tmp"),
        ("", "", "another user has been deploying door"),
        ("tidy", "gate", "an earlier deploy still removes old files from cam:/tmp: waiting"),
    ],
)
def test_the_other_deploy_is_named_and_one_that_only_clears_up_is_not(owner: str, app: str, said: str) -> None:
    told = describe_wait(Waiting(owner=owner, app=app, seconds=7), "door", "cam:/tmp")
    assert said in told
    assert ("deploying" in told) == (owner != "tidy")
