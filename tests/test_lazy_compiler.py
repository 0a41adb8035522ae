import subprocess
import sys

import pytest


def python(*lines):
    """Return what a new interpreter prints."""
    program = "\n".join(lines)
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.splitlines()


@pytest.mark.slow
def test_what_does_not_train_starts_without_torchs_compiler():
    assert python(
        "from datastill.commands import explain, export, predict",
        "from datastill.stages import annotate, evaluate",
        "import sys",
        "print('torchvision' in sys.modules, 'torch._dynamo' in sys.modules)",
    ) == ["True False"]


@pytest.mark.slow
def test_the_compiler_compiles_and_answers_torchvision_once_it_is_asked():
    assert python(
        "import datastill, torchvision, torch",
        "import sys",
        "from torchvision.ops.roi_align import is_compile_supported",
        "print(is_compile_supported('mps'), 'torch._dynamo.utils' in sys.modules)",
        "import torch._dynamo.utils as real",
        "print(is_compile_supported('cpu') == real.is_compile_supported('cpu'))",
        "print(torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item())",
    ) == ["False True", "True", "2.0"]


@pytest.mark.slow
def test_another_name_than_torchvisions_comes_from_the_compiler_itself():
    assert python(
        "import types",
        "from datastill.lazy_compiler import _without_compiler",
        "import torch",
        "def execute(module):",
        "    from torch._dynamo.utils import counters, is_compile_supported",
        "    module.counters = counters",
        "module = types.ModuleType('torchvision')",
        "_without_compiler(execute, module)",
        "import torch._dynamo.utils as real",
        "print(module.counters is real.counters)",
    ) == ["True"]


@pytest.mark.slow
def test_a_compiler_that_is_imported_stays_as_it_is():
    assert python(
        "import torch._dynamo.utils as real",
        "import datastill",
        "from torchvision.ops.roi_align import is_compile_supported",
        "print(is_compile_supported is real.is_compile_supported)",
    ) == ["True"]


def test_params_and_help_need_no_torch():
    assert python(
        "from datastill.project.profile import open_profile",
        "import datastill.cli",
        "import sys",
        "print('torch' in sys.modules)",
    ) == ["False"]
