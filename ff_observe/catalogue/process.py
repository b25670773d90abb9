"""The metrics of the bridge's or the collector's process, under the names that every Prometheus client library uses."""

from ff_observe.catalogue.model import Kind, Metric

START = Metric(
    "process_start_time_seconds",
    "Process start",
    "When the process started, in seconds since 1970.",
    "s",
)
RESIDENT_MEMORY = Metric(
    "process_resident_memory_bytes",
    "Resident memory",
    "Resident memory of the process.",
    "By",
)
CPU = Metric(
    "process_cpu_seconds_total",
    "CPU time",
    "CPU time that the process used, in user and system mode.",
    "s",
    kind=Kind.COUNTER,
)
OPEN_FDS = Metric(
    "process_open_fds",
    "Open files",
    "Open file descriptors of the process, connections included.",
    "{file}",
)
MAX_FDS = Metric(
    "process_max_fds",
    "Limit of open files",
    "How many file descriptors the process may have open.",
    "{file}",
)

PROCESS: tuple[Metric, ...] = (START, RESIDENT_MEMORY, CPU, OPEN_FDS, MAX_FDS)
