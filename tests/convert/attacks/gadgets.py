"""Functions that hostile pickles were found to call, or that scanners were shown to miss: any name but ours is refused.

Each is called as it was described, with a command or a line of code that makes a file; names alone stand for those
that need a network, a terminal, another system or another version to do harm.
"""

from __future__ import annotations

import re
from typing import Any

from tests.convert.attacks.sample import CODE, PATH, SHELL, Applied, Attack, Call, Name, pickled

COMPILED = Call("builtins:compile", CODE, "<x>", "exec")
SOUR = "Slaviero, Sour Pickles, 2011"
PICKLESCAN = "picklescan advisories, 2025"
HIDE = "Liu et al., The Art of Hide and Seek, 2025"
FICKLING = "Sultanik, fickling, 2021"
MALHUG = "Zhao et al., Models Are Codes (MalHug), 2024"
PICKLEBALL = "Kellas et al., PickleBall, 2025"
JFROG = "JFrog, silent backdoors on Hugging Face, 2024"
GOLF = "pickle challenges of capture-the-flag games"

_BITING = (
    ("posix:system", (SHELL,), SOUR),
    ("os:system", (SHELL,), SOUR),
    ("os:popen", (SHELL,), SOUR),
    ("posix:posix_spawn", ("/bin/sh", ["sh", "-c", SHELL], {}), HIDE),
    ("pty:spawn", (["touch", PATH],), PICKLEBALL),
    ("subprocess:Popen", (["touch", PATH],), MALHUG),
    ("subprocess:check_output", (["touch", PATH],), MALHUG),
    ("subprocess:getoutput", (SHELL,), FICKLING),
    ("builtins:eval", (CODE,), FICKLING),
    ("builtins:exec", (COMPILED,), FICKLING),
    ("builtins:open", (PATH, "w"), PICKLESCAN),
    ("io:open", (PATH, "w"), PICKLESCAN),
    ("_io:FileIO", (PATH, "w"), "fickling pull request 210, 2026"),
    ("pathlib:Path.touch", (Call("pathlib:Path", PATH),), HIDE),
    ("builtins:list", (Call("builtins:map", Name("builtins:eval"), [CODE]),), GOLF),
    ("runpy:_run_code", (COMPILED, {}), PICKLESCAN),
    ("timeit:timeit", ("pass", CODE), PICKLESCAN),
    ("cProfile:run", (CODE,), PICKLESCAN),
    ("profile:run", (CODE,), PICKLESCAN),
    ("cProfile:runctx", (CODE, {}, {}), PICKLESCAN),
    ("trace:Trace.run", (Call("trace:Trace"), CODE), PICKLESCAN),
    ("bdb:Bdb.runeval", (Call("bdb:Bdb"), CODE), "picklescan pull request 29, 2024"),
    ("code:InteractiveInterpreter.runcode", (Call("code:InteractiveInterpreter"), COMPILED), PICKLESCAN),
    ("pydoc:pipepager", ("", SHELL), PICKLESCAN),
    ("uuid:_get_command_stdout", ("touch", PATH), "CVE-2026-56315"),
    ("_osx_support:_read_output", (SHELL,), "CVE-2026-56315"),
    ("asyncio.unix_events:_UnixSubprocessTransport._start", (None, SHELL, True, None, None, None, 0), "CVE-2025-10157"),
    ("shutil:os.system", (SHELL,), "attributes of harmless modules; PickleBall, 2025"),
    ("pickle:loads", (Call("_codecs:encode", "cposix\nsystem\n(S'touch CANARY'\ntR.", "latin1"),), PICKLESCAN),
    ("numpy.testing._private.utils:runstring", (CODE, {}), PICKLESCAN),
    ("numpy.f2py.crackfortran:getlincoef", (CODE, {}), HIDE),
    ("torch:os.system", (SHELL,), "attributes of harmless modules; PickleBall, 2025"),
    ("torch.jit.unsupported_tensor_ops:execWrapper", (CODE, {}, {}), PICKLESCAN),
    ("torch.utils.collect_env:run", (SHELL,), PICKLESCAN),
)
OS = Call("builtins:__import__", "os")
_CHAINS = {  # what is called at last, and the arguments
    "getattr": (Call("builtins:getattr", OS, "system"), (SHELL,), JFROG),
    "import_module": (
        Applied(Call("operator:attrgetter", "system"), (Call("importlib:import_module", "os"),)),
        (SHELL,),
        MALHUG,
    ),
    "attrgetter": (Applied(Call("_operator:attrgetter", "system"), (OS,)), (SHELL,), PICKLESCAN),
    "itemgetter": (Applied(Call("operator:itemgetter", "system"), (Call("builtins:vars", OS),)), (SHELL,), PICKLESCAN),
    "methodcaller": (Call("operator:methodcaller", "system", SHELL), (OS,), PICKLESCAN),
    "partial": (Call("functools:partial", Name("os:system"), SHELL), (), PICKLESCAN),
    "FunctionType": (Call("types:FunctionType", COMPILED, {}), (), "cloudpickle and dill, in MalHug, 2024"),
}
_NAMED = {
    "Windows, Python 2 and other systems": (
        *("nt:system", "commands:getoutput", "__builtin__:apply", "__builtin__:execfile", "posix:popen2"),
        *("_aix_support:_read_cmd_output", "_winapi:CreateProcess", "_posixsubprocess:fork_exec"),
    ),
    "needs a network, a terminal or a window": (
        *("webbrowser:open", "pdb:run", "doctest:debug_script", "socket:create_connection", "urllib.request:urlopen"),
        *("pip:main", "pip._internal:main", "ensurepip:_run_pip", "requests.api:get", "aiohttp.client:ClientSession"),
        *("idlelib.pyshell:ModifiedInterpreter.runcode", "idlelib.run:Executive.runcode", "imaplib:IMAP4_stream"),
        *("idlelib.autocomplete:AutoComplete.get_entity", "lib2to3.pgen2.grammar:Grammar.loads"),
        *("lib2to3.pgen2.pgen:ParserGenerator.make_label", "idlelib.debugobj:ObjectTreeItem", "nltk.data:load"),
    ),
    "reads a file and sends it away; picklescan advisories, 2025": ("ssl:get_server_certificate", "linecache:getline"),
    "changes or loads files": (
        *("shutil:rmtree", "shutil:copyfile", "os:remove", "distutils.file_util:write_file", "ctypes:CDLL"),
        *(
            "numpy:memmap",
            "numpy:fromfile",
            "numpy:save",
            "venv:create",
            "logging.config:listen",
            "zipimport:zipimporter",
        ),
    ),
    "a pickle within: readers that read another one": (
        *("_pickle:loads", "marshal:loads", "shelve:open", "numpy:load", "numpy.lib.npyio:load", "pandas:read_pickle"),
        *("torch:load", "torch.serialization:load", "torch.storage:_load_from_bytes", "joblib:load", "dill:loads"),
        *("torch.package:PackageImporter", "torch.jit:load", "torch.hub:load", "torch.hub:load_state_dict_from_url"),
        *("torch.utils.model_zoo:load_url", "torch.utils.data.datapipes.utils.decoder:basichandlers"),
        *("torch.utils._config_module:load_config", "multiprocessing.reduction:ForkingPickler.loads"),
    ),
    "code in torch and its neighbours": (
        *("torch._dynamo.guards:GuardBuilder.get", "torch.fx.experimental.symbolic_shapes:ShapeEnv"),
        *("torch.fx.graph_module:reduce_graph_module", "torch.utils.bottleneck.__main__:run_cprofile"),
        *("torch.utils.bottleneck.__main__:run_autograd_prof", "torch._inductor.codecache:compile_file"),
        *("torch.jit.annotations:parse_type_line", "torch.distributed.rpc:rpc_sync", "torch.distributed.rpc:PythonUDF"),
        *("torch.distributed.nn.api.remote_module:RemoteModule", "torch.multiprocessing.spawn:spawn"),
        *("torch.nn.modules.linear:Linear", "torch._tensor:_rebuild_from_type_v2", "torch:UntypedStorage"),
    ),
    "objects as cloudpickle, dill, joblib and skops write them": (
        *("cloudpickle.cloudpickle:_make_function", "cloudpickle.cloudpickle:_builtin_type", "types:CodeType"),
        *(
            "dill._dill:_create_function",
            "dill._dill:_import_module",
            "dill._dill:_load_type",
            "copyreg:_reconstructor",
        ),
        *(
            "joblib.numpy_pickle:NumpyArrayWrapper",
            "sklearn.pipeline:Pipeline",
            "keras.saving:deserialize_keras_object",
        ),
    ),
    "looks at or changes what runs": (
        *(
            "sys:modules",
            "__main__:__dict__",
            "builtins:globals",
            "builtins:vars",
            "builtins:setattr",
            "gc:get_objects",
        ),
        *("sys:_getframe", "inspect:getattr_static", "operator:setitem", "types:MethodType", "weakref:finalize"),
        *("atexit:register", "signal:signal", "threading:Timer", "sys:settrace", "builtins:breakpoint", "site:main"),
    ),
}


def attacks() -> list[Attack]:
    """Return one sample for each function."""
    result = [_attack(name, Call(name, *given), described, "pickle") for name, given, described in _BITING]
    for technique, (function, given, described) in _CHAINS.items():
        result.append(_attack(technique, Applied(function, given), described, "pickle"))
    for described, names in _NAMED.items():
        result += [_attack(name, Call(name, SHELL), described, "") for name in names]
    return result


def _attack(technique: str, value: Any, described: str, bites: str) -> Attack:
    """Return the sample of a call; the error has to name the first global that it asks for."""

    def make(canary: str) -> bytes:
        return pickled(value, canary)

    return Attack(technique, described, make, f"asks for {re.escape(_first(value).replace(':', '.'))} ", bites)


def _first(value: Any) -> str:
    return _first(value.function) if isinstance(value, Applied) else value.name
