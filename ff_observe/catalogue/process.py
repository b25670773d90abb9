"""The metrics of the bridge's or the collector's process, under the names that every Prometheus client library uses."""

from ff_observe.catalogue.model import Kind, Metric, Sensitivity

START = Metric(
    "process_start_time_seconds",
    "Process start",
    "When the process started, in seconds since 1970.",
    "s",
    sensitivity=Sensitivity.OPERATIONAL,
    since="0.1.0",
)
RESIDENT_MEMORY = Metric(
    "process_resident_memory_bytes",
    "Resident memory",
    "Resident memory of the process.",
    "By",
    sensitivity=Sensitivity.OPERATIONAL,
    since="0.1.0",
)
CPU = Metric(
    "process_cpu_seconds_total",
    "CPU time",
    "CPU time that the process used, in user and system mode.",
    "s",
    kind=Kind.COUNTER,
    sensitivity=Sensitivity.OPERATIONAL,
    since="0.1.0",
)
OPEN_FDS = Metric(
    "process_open_fds",
    "Open files",
    "Open file descriptors of the process, connections included.",
    "{file}",
    sensitivity=Sensitivity.OPERATIONAL,
    since="0.1.0",
)
MAX_FDS = Metric(
    "process_max_fds",
    "Limit of open files",
    "How many file descriptors the process may have open.",
    "{file}",
    sensitivity=Sensitivity.OPERATIONAL,
    since="0.1.0",
)

PROCESS: tuple[Metric, ...] = (START, RESIDENT_MEMORY, CPU, OPEN_FDS, MAX_FDS)
