"""What a launcher of several processes, `torchrun`, tells each of them in its environment. This loads no torch.

`lnfgen.training.distributed` is what the processes do together.
"""

import os
from collections.abc import Callable


def launched() -> bool:
    """Whether torchrun has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Whether this process is the first one, rank 0, or the only one. It alone writes and prints."""
    return not launched() or os.environ["RANK"] == "0"


def local_place() -> tuple[int, int]:
    """The number of this process on its machine, and how many processes the machine has."""
    if not launched():
        return 0, 1
    return int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])


def may_restart() -> bool:
    """Whether torchrun will start the processes anew if one fails (`--max-restarts`)."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")) > 0


def restarted() -> bool:
    """Whether torchrun has started the processes anew, because one of them had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


claim: Callable[[], bool] = is_main
"""Asks to be the one process that tells of a failure. `distributed.join` replaces it: then the first one to ask is."""
