"""Commands of a project as processes of their own: started, awaited, found and killed."""

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil


def started(project, *command):
    return subprocess.Popen(
        command, cwd=project.root, env=project.environment, stderr=subprocess.PIPE, text=True
    )


def wait_for(path, process, seconds=150):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"no {path} after {seconds} s"
        time.sleep(0.05)


def at_work(root):
    """The processes whose working folder is in `root`."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(root)
            if inside and process.status() != "zombie" and "daemon" not in process.cmdline():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def left_in(root):
    """Command lines of processes that are at work in `root`."""
    return [process.cmdline() for process in at_work(root)]


def kill_all(root):
    """Kill what is at work in `root`, and what that starts meanwhile; wait until nothing is left.

    To DVC a process that init has not reaped yet still holds its locks.
    """
    killed = []
    while processes := at_work(root):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        killed += processes
    psutil.wait_procs(killed, timeout=30)
