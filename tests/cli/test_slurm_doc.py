"""The job script of docs/training.md, with stand-ins for SLURM's commands."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def run_job(folder: Path, training: str, number: int = 0) -> str:
    """What a training, in bash, and SLURM's commands write into ``log`` if the job gets a signal."""
    script = folder / "job.sh"
    script.write_text(re.search(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1])
    commands = {"srun": training, "scontrol": 'echo "$@" >> log', "sleep": 'echo sleeps "$@" >> log'}
    for name, text in commands.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    with subprocess.Popen(["bash", str(script)], cwd=folder, env=environment, start_new_session=True) as job:
        try:
            while not (folder / "started").exists() and job.poll() is None:
                time.sleep(0.01)
            if number:
                job.send_signal(number)
            job.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
    log = folder / "log"
    return log.read_text() if log.exists() else ""


def test_a_job_whose_training_was_asked_to_end_by_slurm_lives_until_it_is_queued_again(tmp_path):
    assert run_job(tmp_path, "exit 143") == "sleeps 600\n"


def test_a_job_whose_training_is_done_ends(tmp_path):
    assert run_job(tmp_path, "exit 0") == ""


def test_the_job_script_saves_and_queues_the_job_again(tmp_path):
    training = (
        'trap "echo saved >> log; exit 0" USR1; /bin/sleep 0.5; echo "$@" > started; while :; do /bin/sleep 0.05; done'
    )
    assert run_job(tmp_path, training, signal.SIGUSR1) == "saved\nrequeue 7\n"
    command = (tmp_path / "started").read_text().split()
    assert command[1:3] == ["gpemsr-train", "-opt"]
    assert {"--launcher", "slurm", "--auto_resume"} < set(command)
