"""The job script of docs/training.md, with stand-ins for SLURM's commands."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_the_job_script_saves_and_queues_the_job_again(tmp_path):
    script = tmp_path / "job.sh"
    script.write_text(re.search(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1])
    trains = 'trap "echo saved >> log; exit 0" USR1; echo "$@" > started; while :; do sleep 0.05; done'
    for name, text in {"srun": trains, "scontrol": 'echo "$@" >> log'}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    with subprocess.Popen(["bash", str(script)], cwd=tmp_path, env=environment) as job:
        while not (tmp_path / "started").exists() and job.poll() is None:
            time.sleep(0.01)
        job.send_signal(signal.SIGUSR1)
        job.wait(20)
    assert (tmp_path / "log").read_text() == "saved\nrequeue 7\n"
    command = (tmp_path / "started").read_text().split()
    assert command[1:3] == ["gpemsr-train", "-opt"]
    assert {"--launcher", "slurm", "--auto_resume"} < set(command)
