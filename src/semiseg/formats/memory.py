"""The memory that is free for this process."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
FILES = {  # of a control group: limit, usage, and the caches of files in the statistics
    "v2": ("memory.max", "memory.current", ("active_file", "inactive_file")),
    "v1": (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_active_file", "total_inactive_file"),
    ),
}


def free_memory() -> int | None:
    """Memory in bytes that this process can allocate; None if unknown.

    It is the smallest of what the machine, the control groups (containers, batch jobs) and the limit of
    the address space (``ulimit -v``) leave.
    """
    return min(
        (left for left in (_of_machine(), of_groups(), _of_address_space()) if left is not None),
        default=None,
    )


def _of_machine() -> int | None:
    try:
        for line in (PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def of_groups(proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """What the control groups of this process leave; None without a limit."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None
    left: list[int] = []
    for line in lines:
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            left += _along(groups, name, "v2")
        elif "memory" in controllers.split(","):
            left += _along(groups / "memory", name, "v1")
    return min(left, default=None)


def _along(root: Path, name: str, version: str) -> Iterator[int]:
    """What a group and each group above it leave.

    A container may see its own group as the root, and another name in ``/proc``.
    """
    limit, usage, caches = FILES[version]
    group = root / name.strip("/")
    for folder in (group, *(above for above in group.parents if above.is_relative_to(root))):
        try:
            most = int((folder / limit).read_text())  # "max" without a limit
            used = int((folder / usage).read_text())
            rows = (row.split() for row in (folder / "memory.stat").read_text().splitlines())
            # the kernel drops caches of files before it refuses memory
            used -= sum(int(row[1]) for row in rows if row[0] in caches)
        except (OSError, ValueError, IndexError):
            continue
        yield max(most - max(used, 0), 0)


def _of_address_space() -> int | None:
    try:
        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most == resource.RLIM_INFINITY:
            return None
        used = int((PROC / "self" / "statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):
        return None
    return max(most - used, 0)
