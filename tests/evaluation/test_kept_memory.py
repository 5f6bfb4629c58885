import json
import multiprocessing
import os
import platform
import subprocess
import sys
import textwrap
import threading

import pytest

from videohub.evaluation import kept_memory

if platform.libc_ver()[0] != "glibc":
    pytest.skip("only glibc is told to keep memory", allow_module_level=True)

# 64 MiB are more than glibc ever keeps by itself. Each test has a process of its own, whose heap nobody has used.
PREPARED = """
import json, os, resource, threading
os.environ["NUMPY_MADVISE_HUGEPAGE"] = "0"  # ordinary pages, as torch asks for
from types import SimpleNamespace
import numpy as np
from videohub.evaluation.kept_memory import kept_memory

CPU, GPU = SimpleNamespace(type="cpu"), SimpleNamespace(type="cuda")
PAGE = os.sysconf("SC_PAGE_SIZE")

def new_pages():
    "What share of 64 MiB is asked of the system when they are written, and freed again."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(64 * 1024**2, np.uint8).fill(1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * PAGE / (64 * 1024**2)

def resident():
    "MiB of memory."
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * PAGE / 1024**2
"""


def found(script, **environment):
    """Return what a script prints, run in a process of its own."""
    script = PREPARED + textwrap.dedent(script)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True,
                           env=ours | environment)  # fmt: skip
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def new_each_time():
    """Skip where pages are so large that they are hardly worth counting."""
    if min(found("print(json.dumps([new_pages() for _ in range(3)]))")) < 0.9:
        pytest.skip("this system has large pages")


def test_memory_is_new_once_inside_and_each_time_outside(new_each_time):
    inside, outside = found("""
        with kept_memory(CPU):
            inside = [new_pages() for _ in range(4)]
        print(json.dumps([inside, [new_pages() for _ in range(3)]]))
    """)
    assert inside[0] > 0.9
    assert max(inside[1:]) < 0.1
    assert min(outside) > 0.9


def test_what_was_kept_is_given_back_at_the_end():
    before, inside, after = found("""
        sizes = [resident()]
        with kept_memory(CPU):
            new_pages()
            sizes.append(resident())
        print(json.dumps([*sizes, resident()]))
    """)
    assert inside - before > 60
    assert after - before < 4


def test_the_last_one_to_leave_ends_it(new_each_time):
    with_other, alone, after = found("""
        inside, leave = threading.Event(), threading.Event()

        def other():
            with kept_memory(CPU):
                inside.set()
                leave.wait()

        thread = threading.Thread(target=other)
        thread.start()
        inside.wait()
        with kept_memory(CPU):
            new_pages()
            shares = [new_pages()]
        shares.append(new_pages())
        leave.set()
        thread.join()
        print(json.dumps([*shares, new_pages()]))
    """)
    assert with_other < 0.1
    assert alone < 0.1
    assert after > 0.9


def test_an_error_inside_ends_it_too(new_each_time):
    after = found("""
        try:
            with kept_memory(CPU):
                new_pages()
                raise KeyError
        except KeyError:
            print(json.dumps([new_pages() for _ in range(2)]))
    """)
    assert min(after) > 0.9


def test_for_a_gpu_nothing_is_kept(new_each_time):
    shares = found("""
        with kept_memory(GPU):
            print(json.dumps([new_pages() for _ in range(3)]))
    """)
    assert min(shares) > 0.9


INSIDE = """
with kept_memory(CPU):
    print(json.dumps([new_pages() for _ in range(3)]))
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "1000000"),
        ("MALLOC_MMAP_THRESHOLD_", "1000000"),
        ("MALLOC_MMAP_MAX_", "1000"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=1000"),
    ],
)
def test_who_has_told_glibc_what_to_keep_is_obeyed(name, value, new_each_time):
    assert min(found(INSIDE, **{name: value})) > 0.9


def test_who_has_told_glibc_something_else_is_not_meant():
    assert max(found(INSIDE, GLIBC_TUNABLES="glibc.pthread.rseq=0", MALLOC_ARENA_MAX="2")[1:]) < 0.1


@pytest.mark.parametrize("size", [4, 16])
def test_small_blocks_are_kept_afterwards_as_they_were_before(size, new_each_time):
    """Of 4 and 16 MiB glibc keeps what was freed once; before, after, and had nothing happened in between."""
    before, after = found(f"""
        def pages():
            start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            np.empty({size} * 1024**2, np.uint8).fill(1)
            return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start) * PAGE / ({size} * 1024**2)
        pages()  # freed once
        before = [pages() for _ in range(3)][1:]
        with kept_memory(CPU):
            new_pages()
        after = [pages() for _ in range(3)][1:]
        print(json.dumps([max(before), max(after)]))
    """)
    assert max(before, after) < 0.1


NOTED = """
calls = []
CDLL = ctypes.CDLL
class Noting:
    def __init__(self, name):
        self.library = CDLL(name)
    def mallopt(self, parameter, value):
        calls.append([parameter, value])
        return self.library.mallopt(parameter, value)
    def malloc_trim(self, pad):
        calls.append("trim")
ctypes.CDLL = Noting
"""


def test_it_is_public_and_sets_what_it_restores_once_however_often_it_is_entered():
    """mallopt's numbers: -1 trim threshold, -3 mmap threshold, -4 how many blocks may be mapped."""
    entered, left = found(f"""
        import ctypes
        import videohub
        {textwrap.indent(NOTED, " " * 8).strip()}
        with videohub.kept_memory():
            with videohub.kept_memory("cpu"):
                entered = list(calls)
            assert calls == entered
        print(json.dumps([entered, calls[len(entered):]]))
    """)
    assert entered == [[-4, 0], [-1, -1]]
    assert left == [[-4, 65536], [-3, 32 * 2**20], [-1, 64 * 2**20], "trim"]


@pytest.mark.parametrize(
    ("device", "asked", "environment"),
    [
        ("cuda:0", "return os_confstr(name)", {}),
        ("cpu", "return None", {}),  # musl
        ("cpu", "raise ValueError('unrecognized configuration name')", {}),  # macOS
        ("cpu", "return os_confstr(name)", {"MALLOC_MMAP_MAX_": "1000"}),
    ],
    ids=["another device", "musl", "macOS", "told by the user"],
)
def test_where_it_sets_nothing_it_restores_nothing(device, asked, environment):
    calls = found(f"""
        import ctypes
        import videohub
        {textwrap.indent(NOTED, " " * 8).strip()}
        os_confstr = os.confstr
        def confstr(name):
            {asked}
        os.confstr = confstr
        with videohub.kept_memory({device!r}):
            pass
        print(json.dumps(calls))
    """, **environment)  # fmt: skip
    assert calls == []


@pytest.mark.parametrize("answer", ["raise ValueError('unrecognized configuration name')", "return None"])
def test_another_c_library_is_left_alone(answer, new_each_time):
    shares = found(f"""
        def asked(name):
            {answer}
        os.confstr = asked
        with kept_memory(CPU):
            print(json.dumps([new_pages() for _ in range(3)]))
    """)
    assert min(shares) > 0.9


def _asks():
    with kept_memory.kept_memory():
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_fork_while_another_thread_holds_the_lock_does_not_wait_for_it():
    is_held, may_go = threading.Event(), threading.Event()

    def hold():
        with kept_memory._lock:
            is_held.set()
            may_go.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait(60)
    child = multiprocessing.get_context("fork").Process(target=_asks)
    child.start()
    child.join(30)
    child.kill()
    may_go.set()
    holder.join()
    assert child.exitcode == 0
