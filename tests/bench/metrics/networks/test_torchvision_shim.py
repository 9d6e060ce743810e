import subprocess
import sys

import pytest
import torch

from bench.metrics.networks.torchvision_shim import prepare_torchvision


def test_torch_fidelity_imports_in_a_fresh_process():
    code = (
        "from bench.metrics.networks.torchvision_shim import prepare_torchvision as prepare\n"
        "prepare(); prepare()\n"
        "import torch_fidelity\n"
        "print('imported')"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("imported\n", 0), done.stderr


@pytest.fixture
def fake_torchvision(tmp_path, monkeypatch):
    """Make `import torchvision` run the given code, and record declared operators."""
    declared = []
    monkeypatch.setattr(torch.library, "define", lambda *args: declared.append(args))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision")

    def write(code):
        (tmp_path / "torchvision.py").write_text(code)
        return declared

    return write


def test_a_working_torchvision_is_left_alone(fake_torchvision):
    declared = fake_torchvision("")
    prepare_torchvision()
    assert declared == []


def test_other_failures_are_not_hidden(fake_torchvision):
    declared = fake_torchvision("raise RuntimeError('compiled with another CUDA')")
    with pytest.raises(RuntimeError, match="another CUDA"):
        prepare_torchvision()
    assert declared == []
