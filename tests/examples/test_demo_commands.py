"""How a stage of the demo ends when it is stopped, or when a command fails."""

from __future__ import annotations

import subprocess

import pytest
from demo_commands import ptychonyx, until_stopped


def test_ctrl_c_ends_with_words_instead_of_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def stage() -> None:
        raise KeyboardInterrupt

    assert until_stopped(stage) == 130
    assert "Stopped" in capsys.readouterr().out


def test_a_command_that_fails_ends_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    def stage() -> None:
        raise subprocess.CalledProcessError(2, ["ptychonyx"])

    assert until_stopped(stage) == 1
    assert "exit code 2" in capsys.readouterr().out


def test_a_command_that_fails_is_not_passed_over() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        ptychonyx("no-such-command")
