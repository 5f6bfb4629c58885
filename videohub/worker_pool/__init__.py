"""A pool of worker processes: one that hangs or crashes costs the task it was at, never the run."""

from videohub.worker_pool.pool import Client, Work, WorkerPool
from videohub.worker_pool.process import Lost, usable_cores

__all__ = ["Client", "Lost", "Work", "WorkerPool", "usable_cores"]
