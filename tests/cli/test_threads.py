"""wait_briefly: set before torch is there, and never over what the user says."""

import os
import subprocess
import sys

import pytest

from metarl.cli.process.threads import SPINS, wait_briefly


@pytest.mark.parametrize(
    ("user", "expected"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_the_users_word_goes_first(monkeypatch, user, expected):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in user.items():
        monkeypatch.setenv(name, value)
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # so that it is put back as it was


def test_the_command_says_it_before_torch_is_imported():
    code = (
        "import sys, metarl.cli.main as m; import metarl.cli.process.threads as t\n"
        "called = []; m.wait_briefly = lambda: called.append('torch' in sys.modules)\n"
        "m.main(['doctor']); print(called)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[False]"
