"""Model files with something in them: torch archives as they were found, and formats that hold programs."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable

import numpy as np

from tests.convert.attacks.sample import CODE, SHELL, Applied, Attack, Call, Name, opcodes
from tests.convert.files import safetensors_bytes, tar_bytes, zip_bytes

FICKLING = "Sultanik, fickling, 2021"
NULLIFAI = "ReversingLabs, nullifAI, 2025"
MALHUG = "Zhao et al., Models Are Codes (MalHug), 2024"
PICKLEBALL = "Kellas et al., PickleBall, 2025"
POLYGLOTS = "Trail of Bits, polyglots in fickling, 2024"
SYSTEM = r"asks for posix\.system "
OPEN = r"asks for builtins\.eval "


def attacks() -> list[Attack]:
    """Return one sample for each way to hide something in a model file."""
    return [
        Attack("a call beside the weights, zip", MALHUG, lambda canary: torch_zip(beside(canary)), SYSTEM, "torch"),
        Attack(
            "a call beside the weights, legacy", MALHUG, lambda canary: torch_legacy(beside(canary)), SYSTEM, "torch"
        ),
        Attack("a call in the place of a weight", PICKLEBALL, lambda canary: torch_zip(instead(canary)), OPEN, "torch"),
        Attack("a call as a hook of a weight", PICKLEBALL, lambda canary: torch_zip(hooked(canary)), OPEN, "torch"),
        Attack("a call as the key of a storage", PICKLEBALL, lambda canary: torch_zip(keyed(canary)), OPEN, "torch"),
        Attack("before the pickle of a model", FICKLING, lambda canary: torch_zip(before(canary)), SYSTEM, "torch"),
        Attack("behind the pickle of a model", FICKLING, lambda canary: torch_zip(behind(canary)), SYSTEM, "torch"),
        Attack("amid the pickle of a model", FICKLING, lambda canary: torch_zip(amid(canary)), SYSTEM, "torch"),
        Attack(
            "code that changes the model",
            "Trail of Bits, Sleepy Pickle, 2024",
            sleepy,
            "asks for builtins.exec ",
            "torch",
        ),
        Attack(
            "code that copies itself", "Trail of Bits, Sticky Pickle, 2024", sticky, "asks for builtins.exec ", "torch"
        ),
        Attack("a broken pickle in a model", NULLIFAI, lambda canary: torch_zip(broken(canary)), SYSTEM, "torch"),
        Attack("packed with 7z", NULLIFAI, lambda _: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24), "a 7z or RAR archive"),
        Attack("the magic number replaced", POLYGLOTS, magic, SYSTEM, "torch"),
        Attack("the list of storages replaced", POLYGLOTS, storage_list, SYSTEM, "torch"),
        Attack("tar of the first torch", "CVE-2025-32434", first_torch, "holds 3 checkpoints"),
        Attack("tar and legacy torch at once", "CVE-2025-32434", tar_and_legacy, "a torch file and a tar at once"),
        Attack("an item of a tensor set", "CVE-2026-24747", set_item, "damaged pickle"),
        Attack("a storage that claims more", "CVE-2026-24747", claims_more, "claims 262144 bytes, the file holds 96"),
        Attack("TorchScript", "PyTorch's security policy, 2023", torchscript, "TorchScript archive"),
        Attack("TorchScript and weights at once", POLYGLOTS, torchscript_too, "TorchScript archive"),
        Attack("a package of torch", "PyTorch's security policy, 2023", package, "asks for <torch_package_0>"),
        Attack("a model archive", "Oligo, ShellTorch, 2023", model_archive, SYSTEM),
        Attack(
            "a pickle of another suffix", "CVE-2025-1889", lambda canary: zip_bytes({"config.p": sole(canary)}), SYSTEM
        ),
        Attack("a pickle under a model's suffix", "CVE-2025-10155", sole, SYSTEM, "pickle"),
        Attack("npz with objects", "CVE-2019-6446", object_npz, "has dtype object", "numpy"),
        Attack("npy with objects", "CVE-2019-6446", object_npy, "a single numpy array", "numpy"),
        Attack("a number of numpy that is an object", "CVE-2019-6446", object_scalar, "Python objects"),
        Attack(
            "Keras with a Lambda layer", "CVE-2024-3660", lambda _: b"\x89HDF\r\n\x1a\n" + bytes(500), "an HDF5 file"
        ),
        Attack("Keras archive with names of functions", "CVE-2025-1550", keras, "without a checkpoint"),
        Attack("GGUF with a template", "CVE-2024-34359", gguf, "of no kind that videohub knows"),
        Attack(
            "RDS with a promise", "CVE-2024-27322", lambda _: gzip.compress(b"X\n\0\0\0\3" + bytes(90)), "of no kind"
        ),
        Attack("ONNX with files elsewhere", "CVE-2024-27318", onnx, "of no kind that videohub knows"),
        Attack("joblib around an array", "Liu et al., The Art of Hide and Seek, 2025", joblib, "NumpyArrayWrapper"),
        Attack("a program in the weights", "EvilModel, 2021", program_in_weights, ""),
        Attack("code in the metadata", "Trail of Bits, safetensors audit, 2023", code_in_metadata, ""),
        Attack("a pickle behind the weights", "Trail of Bits, safetensors audit, 2023", behind_safetensors, "damaged"),
    ]


Make = Callable[[str], bytes]

STORAGE = ("storage", Name("torch:FloatStorage"), "0", "cpu", 24)
LEGACY_STORAGE = (*STORAGE, None)
NO_HOOKS = Call("collections:OrderedDict")


def tensor(storage: object = STORAGE, hooks: object = NO_HOOKS) -> bytes:
    """Return the opcodes of a tensor of 24 numbers."""
    result = opcodes(storage) + b"Q" if isinstance(storage, tuple) else storage
    return opcodes(Call("torch._utils:_rebuild_tensor_v2", result, 0, (24,), (1,), False, hooks))


def state(value: object) -> bytes:
    """Return the pickle of a state dict, of protocol 2 as torch writes it."""
    return b"\x80\x02" + opcodes({"w": value}) + b"."


def torch_zip(pickle: bytes, **others: bytes) -> bytes:
    """Return a torch archive of one storage."""
    members = {"data.pkl": pickle, "byteorder": b"little", "data/0": bytes(96), "version": b"3\n", **others}
    return zip_bytes({f"archive/{name}": data for name, data in members.items()}, zipfile.ZIP_STORED)


MAGIC, VERSION, SIZES = (pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))


def torch_legacy(pickled: bytes, keys: bytes = b"\x80\x02]X\x01\x00\x00\x000a.", version: bytes = VERSION) -> bytes:
    """Return a torch file from before 1.6 of one storage."""
    return MAGIC + version + SIZES + pickled.replace(b"tQ", b"NtQ") + keys + struct.pack("<q", 24) + bytes(96)


GOOD = state(tensor())


def command(canary: str) -> bytes:
    return opcodes(Call("posix:system", SHELL), canary)


def evaluated(canary: str) -> bytes:
    return opcodes(Call("builtins:eval", f"[None for _ in [{CODE}]][0]"), canary)


def beside(canary: str) -> bytes:
    return b"\x80\x02" + opcodes({"model_state": opcodes({"w": tensor()}), "x": command(canary)}) + b"."


def instead(canary: str) -> bytes:
    return state(evaluated(canary))


def hooked(canary: str) -> bytes:
    return state(tensor(hooks=evaluated(canary)))


def keyed(canary: str) -> bytes:
    key = opcodes(Call("builtins:eval", f"[str(0) for _ in [{CODE}]][0]"), canary)
    return state(tensor(("storage", Name("torch:FloatStorage"), key, "cpu", 24)))


def before(canary: str) -> bytes:
    return b"\x80\x02" + command(canary) + b"0" + GOOD[2:]


def behind(canary: str) -> bytes:
    return GOOD[:-1] + command(canary) + b"0."


def amid(canary: str) -> bytes:
    return GOOD[:3] + command(canary) + b"0" + GOOD[3:]


def executed(code: str, canary: str) -> bytes:
    return torch_zip(b"\x80\x02" + opcodes(Call("builtins:exec", code), canary) + b"0" + GOOD[2:])


def sleepy(canary: str) -> bytes:
    """Change what a class does from now on."""
    return executed(f"import torch; torch.nn.Module.poisoned = lambda *_: 0; {CODE}", canary)


def sticky(canary: str) -> bytes:
    """Take the pickle that is being read, to put it into whatever is saved later."""
    return executed(f"import pickle; pickle.dumped = pickle.dumps; {CODE}", canary)


def broken(canary: str) -> bytes:
    return b"\x80\x02" + command(canary) + b"\xff\xff\xff"


def magic(canary: str) -> bytes:
    """Begin as a legacy file does, with a command where its version should be."""
    return torch_legacy(GOOD, version=b"\x80\x02" + command(canary) + b"0M\xe9\x03.")


def storage_list(canary: str) -> bytes:
    return torch_legacy(GOOD, keys=b"\x80\x02" + command(canary) + b"0]X\x01\x00\x00\x000a.")


def sole(canary: str) -> bytes:
    return b"\x80\x02" + command(canary) + b"."


def first_torch(canary: str) -> bytes:
    """The tar that torch wrote before its first release, whose pickles `weights_only` did not look at."""
    return tar_bytes({"sys_info": sole(canary), "pickle": sole(canary), "storages": sole(canary), "tensors": b""})


def tar_and_legacy(canary: str) -> bytes:
    """A string in the second pickle makes the first 512 bytes a header that asks tar for 2 ** 60 bytes."""
    data = bytearray(torch_legacy(GOOD, version=b"\x80\x02T" + struct.pack("<i", 600) + bytes(600) + b"0M\xe9\x03."))
    data[124:136] = b"\x80" + (1 << 60).to_bytes(11, "big")
    data[156:157] = tarfile.GNUTYPE_LONGNAME
    data[257:265] = tarfile.GNU_MAGIC
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * ord(" ") + sum(data[156:512]))
    return bytes(data)


def set_item(canary: str) -> bytes:
    """Write into a tensor as if it were a dict."""
    return torch_zip(state(tensor() + b"K\x00K\x01s"))


def claims_more(canary: str) -> bytes:
    large = ("storage", Name("torch:FloatStorage"), "0", "cpu", 65536)
    return torch_zip(state(tensor(large)))


def torchscript(canary: str) -> bytes:
    code = b"def forward(self):\n  return ops.aten.save([], 'x')\n"
    return zip_bytes({"model/data.pkl": sole(canary), "model/code/__torch__.py": code}, zipfile.ZIP_STORED)


def torchscript_too(canary: str) -> bytes:
    return torch_zip(GOOD, **{"constants.pkl": sole(canary)})


def package(canary: str) -> bytes:
    net = b"\x80\x02" + opcodes(Applied(Name("<torch_package_0>.net:Net"), ())) + b"."
    return zip_bytes({"p/.data/extern_modules": b"os\n", "p/net.py": CODE.encode(), "p/model/model.pkl": net})


def model_archive(canary: str) -> bytes:
    """What TorchServe takes: a zip with code and a manifest beside the weights."""
    manifest = b'{"model": {"handler": "handler.py"}}'
    return zip_bytes({"MAR-INF/MANIFEST.json": manifest, "handler.py": CODE.encode(), "m.pth": sole(canary)})


class Opener:
    """Pickles as the opening of a file."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self):
        return open, (self.canary, "w")


def object_npz(canary: str) -> bytes:
    file = io.BytesIO()
    np.savez(file, w=np.array([Opener(canary)], dtype=object))
    return file.getvalue()


def object_npy(canary: str) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Opener(canary)], dtype=object))
    return file.getvalue()


def object_scalar(canary: str) -> bytes:
    number = Call("numpy.core.multiarray:scalar", Call("numpy:dtype", "O8", False, True), "x")
    return b"\x80\x02" + opcodes({"lr": opcodes(number)}) + b"."


def keras(canary: str) -> bytes:
    config = b'{"module": "builtins", "class_name": "function", "config": "eval", "args": ["1"]}'
    return zip_bytes({"config.json": config, "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"})


def gguf(canary: str) -> bytes:
    template = b"{{ ''.__class__.__mro__[1].__subclasses__() }}"
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + b"tokenizer.chat_template" + template


def onnx(canary: str) -> bytes:
    return b"\x08\x08\x12\x04\x00\x01\x02\x03:\x20\n\x1elocation\x12\x16../../../../etc/passwd\x00"


def joblib(canary: str) -> bytes:
    """An array as joblib writes it: a wrapper in the pickle, and the bytes in between."""
    wrapper = opcodes(Applied(Name("joblib.numpy_pickle:NumpyArrayWrapper"), ()))
    return b"\x80\x02" + wrapper + b"}b" + bytes(64) + b"."


def program_in_weights(canary: str) -> bytes:
    """An ELF header as the first weights of a layer."""
    return pickle.dumps({"blobs": {"conv1_w": np.frombuffer(b"\x7fELF\x02\x01\x01\x00" * 8, np.float32)}}, 2)


def code_in_metadata(canary: str) -> bytes:
    return safetensors_bytes({"format": "pt", "__reduce__": CODE, "license": "<script>alert(1)</script>"})


def behind_safetensors(canary: str) -> bytes:
    return safetensors_bytes() + sole(canary)
