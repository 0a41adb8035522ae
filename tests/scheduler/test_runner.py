"""Threads and GPUs that jobs are given."""

import os

from datastill.scheduler.runner import devices, threads


def test_the_users_threads_come_first_and_gpus_are_those_of_nvidia_smi(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert (threads(1), threads(2)) == ("7", "7")
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads(1) == ""
    program = tmp_path / "nvidia-smi"
    lines = [f"echo 'GPU {n}: NVIDIA H100 (UUID: GPU-{n}a)'" for n in (0, 1)]
    program.write_text("\n".join(["#!/bin/sh", *lines]))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices() == []
