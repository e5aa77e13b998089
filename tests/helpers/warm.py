"""An interpreter with torch and the models loaded, which runs `python -m lnfgen` in a fork of itself for each request.

It is a JSON object on a line of stdin: the arguments, the folder, the environment, and the files of the three standard
streams. The answer is a line with the exit code. Loading torch takes a second or more, and the tests start the program
often.
"""

import json
import os
import runpy
import signal
import sys
import traceback
from typing import Any

import numpy  # noqa: F401
import rich.progress  # noqa: F401
import safetensors.torch  # noqa: F401
import torch  # noqa: F401
import typer  # noqa: F401

import lnfgen.training.session  # noqa: F401  # and with it what all commands with a model load; no command itself


def run(request: dict[str, Any]) -> int:
    """The exit code of the program. This is called in the forked process."""
    for stream, (path, flags) in enumerate(
        zip(request["streams"], (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT), strict=True)
    ):
        os.dup2(os.open(path, flags), stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.argv = ["lnfgen", *request["args"]]
    try:
        runpy.run_module("lnfgen", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


for line in sys.stdin:
    request = json.loads(line)
    process = os.fork()
    if process == 0:
        signal.alarm(request["seconds"])  # ends a program that hangs
        code = 1
        try:
            code = run(request)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
