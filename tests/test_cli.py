"""The command line's manners: where things are printed, what exit codes mean, how errors look."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.own_registry import like, write_registry
from videohub import registry, resources
from videohub.cli import cli
from videohub.registry.schema import DatasetInfo
from videohub.terminal.options import print_json

VERBS = Path(resources.__file__).parent / "cli"


def test_list_fits_eighty_columns_and_shows_every_record(run):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())
    assert all(name in out for name in registry.default().records)
    assert "…" not in out


@pytest.mark.parametrize(
    ("order", "columns"), [("params", ["params"]), ("flops", ["MACs"]), ("top1", ["data", "clip"])]
)
def test_a_narrow_list_keeps_the_column_that_it_is_sorted_by(run, monkeypatch, order, columns):
    monkeypatch.setenv("COLUMNS", "83")  # 41 letters of a name, 8, 8, 6, 5 and 10 of the others, and 5 blanks
    code, out, _ = run("list", "--sort", order)
    assert (code, [name for name in columns if name not in out.splitlines()[0].split()]) == (0, [])


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"FORCE_COLOR": "1"}, True), ({}, False), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    ids=["wanted", "piped", "refused"],
)
def test_list_colours_a_status_only_where_colours_are_wanted(run, monkeypatch, environment, coloured):
    for variable in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(variable, value)
    _, out, _ = run("list", "slowfast_r101_8x8")
    line = out.splitlines()[1]
    assert line == "slowfast_r101_8x8 K400 8x8  78.0  93.3  62.8M  126G " + (
        "\x1b[33munreleased\x1b[0m" if coloured else "unreleased"
    )
    assert ("\x1b" in out) == coloured


def test_list_prints_nobody_else_s_control_codes_and_cuts_nothing(run, tmp_path, monkeypatch):
    odd, long = "[red]\x1b[31m", "x" * 100
    protocol = msgspec.structs.replace(registry.record("slow_r50_4x16").protocol, name="ours", dataset=odd)
    dataset = DatasetInfo(name=odd, title="Odd", short=odd)
    record = like("slow_r50_4x16", name=f"our_{long}", protocol=protocol, dataset=dataset)
    write_registry(tmp_path / "ours.yaml", record)
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "ours.yaml"))
    _, out, _ = run("list", "our_*")
    assert out.splitlines()[1].startswith(f"our_{long} [red]\\x1b[31m ")


def test_every_verb_is_there_and_a_misspelt_one_is_corrected(run):
    _, out, _ = run("--help")
    verbs = out[out.index("Commands:") :].splitlines()[1:]
    files = [path.stem for path in VERBS.glob("*.py") if path.stem != "__init__"]
    assert len(files) >= 21
    assert [line.split()[0] for line in verbs if line.startswith("  ") and line[2] != " "] == sorted(files)
    assert not [line for line in verbs if line.endswith("...")]  # each has a sentence that fits
    assert "Did you mean 'list'?" in run("lst")[2]


def test_the_shell_completes_verbs_and_their_options(monkeypatch, capsys):
    monkeypatch.setenv("_VIDEOHUB_COMPLETE", "bash_complete")
    for words, position, expected in (("videohub un", 1, "unbundle"), ("videohub list --da", 2, "--dataset")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(position))
        with pytest.raises(SystemExit):
            cli.main(prog_name="videohub")
        assert capsys.readouterr().out == f"plain,{expected}\n"


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("videohub show slowfast_r50_16x8_s", 2, ["slowfast_r50_16x8_ssv2", "slowfast_r50_16x8_ssv2_multigrid"]),
        ("videohub verify slow_r50_8x8 I3D_8", 3, ["I3D_8x8_R50"]),
        ("videohub fetch resnet", 2, ["resnet_r50_in1k"]),
        ("videohub bundle RESNET", 2, ["resnet_r50_in1k"]),  # nothing begins so; in any case, that does
        ("videohub benchmark resnet", 2, ["resnet_r50_in1k"]),
        ("videohub predict clip.mp4 --model resnet", 4, ["resnet_r50_in1k"]),
        ("videohub data check resnet", 3, ["resnet_r50_in1k"]),
        ("videohub cache pins --forget resnet", 4, ["resnet_r50_in1k"]),
        (
            "videohub list --dataset k",
            3,
            ["kinetics400", "k400", "kinetics", "kinetics600", "k600", "kinetics710", "k710", "kinetics700", "k700"],
        ),
        ("videohub list --status un", 3, ["unreleased"]),
        ("videohub convert x.pkl --to videoh", 4, ["videohub"]),
        ("videohub convert x.pkl --to py", 4, ["pyslowfast", "pyslowfast_contrastive", "pytorchvideo"]),
        (
            "videohub convert x.pkl --model tv_swin3d_t --to ''",
            6,
            ["videohub", "mmaction2", "torchvision", "video_swin"],
        ),
        (
            "videohub convert x.pkl --model mvitv2_s_16x4 --to ''",
            6,
            ["videohub", "mmaction2", "pyslowfast", "torchvision"],
        ),
        ("videohub convert x.pkl --model nobody --to ''", 6, []),
        ("videohub --registry OURS show our", 4, ["our_slow"]),
        ("videohub --registry BROKEN show slow", 4, []),
    ],
)
def test_the_shell_completes_names_of_records_and_data_sets(monkeypatch, capsys, tmp_path, words, position, expected):
    write_registry(tmp_path / "ours.yaml", like("slow_r50_4x16", name="our_slow"))
    (tmp_path / "broken.yaml").write_text("records: [")
    words = words.replace("OURS", f"{tmp_path}/ours.yaml").replace("BROKEN", f"{tmp_path}/broken.yaml")
    monkeypatch.setenv("_VIDEOHUB_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(position))
    with pytest.raises(SystemExit):
        cli.main(prog_name="videohub")
    assert capsys.readouterr().out.split() == [f"plain,{name}" for name in expected]


def test_completing_a_name_loads_nothing_heavy():
    code = (
        "import os, sys; os.environ.update(_VIDEOHUB_COMPLETE='bash_complete', COMP_CWORD='2', "
        "COMP_WORDS='videohub verify resnet'); sys.argv = ['videohub']; from videohub.cli import main\n"
        "try: main()\nexcept SystemExit: print([name for name in ('torch', 'av', 'requests') if name in sys.modules])"
    )
    messages = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert messages.splitlines() == ["plain,resnet_r50_in1k", "[]"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["zzz*"], "No name matches zzz*.\n  Did you mean "),
        (["slowfst_r50_8x8"], "No name matches slowfst_r50_8x8.\n  Did you mean slowfast_r50_8x8,"),
        (["i3d"], "No name matches i3d as a whole.\n  `videohub list '*i3d*'` shows i3d_r50_8x8, i3d_nln_r50_8x8"),
        (["i3d*", "--dataset", "ava"], "records match i3d*, and none of them fits --dataset ava.\n"
                                       "  Without --dataset: i3d_r50_8x8, i3d_nln_r50_8x8"),
        (["--dataset", "charades", "--status", "unreleased"],
         "none of them fits --dataset charades --status unreleased.\n"
         "  Without --dataset: slowfast_r101_8x8, slowfast_r101_16x8.\n"
         "  Without --status: slowfast_r50_16x8_charades, slowfast_r50_16x8_charades_multigrid"),
    ],
)  # fmt: skip
def test_a_listing_of_nothing_says_what_to_ask_for_instead(run, monkeypatch, arguments, said):
    monkeypatch.delenv("VIDEOHUB_REGISTRY", raising=False)
    code, out, err = run("list", *arguments)
    assert (code, out) == (0, "")
    assert said in err
    assert run("list", *arguments, "--json")[:2] == (0, "[]\n")


def test_list_filters_and_gives_json(run):
    _, out, _ = run("list", "--dataset", "ava", "--publisher", "pyslowfast", "--json")
    records = json.loads(out)
    assert {record["name"] for record in records} == {
        "slow_r50_4x16_ava22", "slowfast_r101_8x8_ava21", "slowfast_r101_8x8_ava22", "slowfast_r101_16x8_ava22",
    }  # fmt: skip
    assert {record["published"][0]["map"] for record in records} == {19.5, 28.2, 29.1, 29.4}


def test_show_tells_all_and_takes_any_spelling(run):
    code, out, _ = run("show", "slowfast_8X8_r50")
    assert code == 0
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())
    for fact in ("slowfast_r50_8x8", "top-1 77.0 / top-5 92.6", "10 x 3 views", "SLOWFAST_8x8_R50.pkl"):
        assert fact in out.replace("\n", "").replace("               ", "") or fact in out
    full = json.loads(run("show", "SLOWFAST_8x8_R50", "--json")[1])
    assert full["model"]["lateral_kernel"] == 7
    cost = full["cost"]  # PyTorchVideo's table prints 34.57 and 65.71
    assert (round(cost["params"] / 1e6, 2), round(cost["multiply_adds"] / 1e9, 2)) == (34.57, 65.71)
    assert cost["view"] == [32, 256, 256]
    assert "ptv_slowfast_r50_8x8" in full["namesakes"]
    assert full["protocol"]["pixels"][-1] == {"step": "crop", "size": 256, "arithmetic": "pyslowfast"}
    assert "crops of 160 at short sides of 182 to 228" in " ".join(run("show", "x3d_s")[1].split())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("slow_r50_8x8", "8 frames, every 8"),
        ("internvideo2_vit_s_8", "8 frames, spread over the whole video"),
        ("vjepa2_vit_l_16x4_ssv2", "2 x 16 frames, every 4 in the middle of each part of the video"),
        ("resnet_r50_in1k", "an image"),
    ],
)
def test_show_tells_which_frames_a_network_is_given(run, name, words):
    (line,) = [line for line in run("show", name)[1].splitlines() if line.startswith("network input")]
    assert line.split(maxsplit=2)[2] == words


def test_square_brackets_in_a_note_are_printed_and_not_taken_for_colours(run):
    _, out, _ = run("show", "slowfast_r101_8x8_k600_nl_ava22_pretrain")
    assert "[2, 2, 2]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "SLOWFAST_8x8_R5"], 2, "Did you mean SLOWFAST_8x8_R50"),
        (["show", "SLOWFAST_8x8_R5.pkl"], 2, "Did you mean SLOWFAST_8x8_R50"),
        (["predict", "a.mp4", "--model", "ours.safetensors"], 2, "it goes in with --checkpoint, beside its network's"),
        (["show", "SLOWFAST_16x8_R50"], 2, "slowfast_r50_16x8_charades"),
        (["list", "--dataset", "imagenet22k"], 2, "Known: kinetics400"),
        (["fetch", "slowfast_r101_8x8"], 4, "never released"),
        (["predict", "nowhere.mp4", "--model", "slow_r50_4x16_ava22"], 2, "needs a classifier"),
        (["verify", "slow_r50_8x8"], 2, "--data"),
        (["report", "nowhere", "--benchmark", "org/kinetics400", "top1"], 2, "found neither --card nor --push"),
        (["no-such-verb"], 2, "No such command"),
        (["demo", "s3://bucket/x.mp4?key=1"], 2, "s3://bucket/x.mp4: found a URL, expected a folder on a disk to make"),
        (["convert", "nowhere.pkl", "--model", "slow_r50_8x8", "-o", "x"], 2, "nowhere.pkl"),
    ],
)
def test_errors_go_to_stderr_with_their_exit_code(run, arguments, code, said):
    result, out, err = run(*arguments)
    assert (result, out) == (code, "")
    assert said in err


def test_a_registry_of_one_s_own_joins_ours(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_REGISTRY", "")  # what the command adds to it goes with the test
    write_registry(tmp_path / "ours.yaml", like("slow_r50_4x16", name="our_slow"))
    code, out, _ = run("--registry", tmp_path / "ours.yaml", "show", "our_slow", "--json")
    assert code == 0
    assert json.loads(out)["published"][0]["top1"] == 72.7


def test_an_interruption_ends_with_130(run, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "default", interrupted)
    code, out, err = run("list")
    assert (code, out) == (130, "")
    assert "interrupted" in err


@pytest.mark.parametrize(
    "command",
    [
        ["convert", "FILE", "--model", "slowfast_motions", "-o"],
        ["convert", "FILE", "--model", "slowfast_motions", "--to", "caffe2", "-o"],
        ["bundle", "slowfast_motions", "-o"],
    ],
)
def test_a_file_is_written_into_no_folder_that_does_not_exist(run, tmp_path, command):
    published = resources.path("demo") / "SLOWFAST_MOTIONS.pkl"
    target = tmp_path / "mistyped" / "out"
    code, _, err = run(*(str(published) if word == "FILE" else word for word in command), target)
    assert code == 2
    assert f"{target}: found no folder {tmp_path / 'mistyped'}, expected one to write into" in err
    assert not (tmp_path / "mistyped").exists()


def test_json_of_a_path_that_is_not_utf_8_is_read_back_and_knows_no_nan(capsys):
    print_json({"path": "a\udcff\u202e", "number": float("nan")})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"path": "a\udcff\u202e", "number": None}
