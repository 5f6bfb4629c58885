"""The command line's manners: where things are printed, what exit codes mean, how errors look."""

import json

import pytest

from videohub import registry


def test_list_fits_eighty_columns_and_shows_every_record(run):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())
    assert all(name in out for name in registry.default().records)
    assert "…" not in out


def test_list_filters_and_gives_json(run):
    _, out, _ = run("list", "--dataset", "ava", "--json")
    records = json.loads(out)
    assert {record["name"] for record in records} == {
        "slow_r50_4x16_ava22", "slowfast_r101_8x8_ava21", "slowfast_r101_8x8_ava22", "slowfast_r101_16x8_ava22",
    }  # fmt: skip
    assert {record["published"]["map"] for record in records} == {19.5, 28.2, 29.1, 29.4}


def test_show_tells_all_and_takes_any_spelling(run):
    code, out, _ = run("show", "slowfast_8X8_r50")
    assert code == 0
    assert all(len(line.rstrip()) <= 80 for line in out.splitlines())
    for fact in ("slowfast_r50_8x8", "top-1 77.0 / top-5 92.6", "10 x 3 views", "SLOWFAST_8x8_R50.pkl"):
        assert fact in out.replace("\n", "").replace("               ", "") or fact in out
    full = json.loads(run("show", "SLOWFAST_8x8_R50", "--json")[1])
    assert full["model"]["lateral_kernel"] == 7
    assert full["protocol"]["crop"] == 256


def test_square_brackets_in_a_note_are_printed_and_not_taken_for_colours(run):
    _, out, _ = run("show", "slowfast_r101_8x8_k600_nl_ava22_pretrain")
    assert "[2, 2, 2]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "SLOWFAST_8x8_R5"], 2, "Did you mean SLOWFAST_8x8_R50"),
        (["show", "SLOWFAST_16x8_R50"], 2, "slowfast_r50_16x8_charades"),
        (["list", "--dataset", "imagenet22k"], 2, "Known: kinetics400"),
        (["fetch", "slowfast_r101_8x8"], 4, "never released"),
        (["predict", "nowhere.mp4", "--model", "slow_r50_4x16_ava22"], 2, "needs a classifier"),
        (["verify", "slow_r50_8x8"], 2, "--data"),
        (["report", "nowhere", "--benchmark", "org/kinetics400", "top1"], 2, "found no --card"),
        (["no-such-verb"], 2, "No such command"),
        (["convert", "nowhere.pkl", "--model", "slow_r50_8x8", "-o", "x"], 2, "nowhere.pkl"),
    ],
)
def test_errors_go_to_stderr_with_their_exit_code(run, arguments, code, said):
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert said in err


def test_a_registry_of_one_s_own_joins_ours(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_REGISTRY", "")  # what the command adds to it goes with the test
    text = registry.resources.registry_file().read_text()
    record = text[text.index("  slow_r50_4x16:") : text.index("  slow_r50_8x8:")].replace("slow_r50_4x16", "our_slow")
    (tmp_path / "ours.yaml").write_text(f"schema_version: 1\nprotocols: {{}}\nrecords:\n{record}")
    code, out, _ = run("--registry", tmp_path / "ours.yaml", "show", "our_slow", "--json")
    assert code == 0
    assert json.loads(out)["published"]["top1"] == 72.7


def test_an_interruption_ends_with_130(run, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "default", interrupted)
    code, out, err = run("list")
    assert (code, out) == (130, "")
    assert "interrupted" in err
