"""Export: one file that says what the model says, and needs no foreshock."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from odd_series import KINDS, draw_odd_series
from onnxruntime.quantization import QuantType, quantize_dynamic
from toys import quake_rule, stir

import foreshock
from foreshock.cli import app
from foreshock.inference.export import ExportError, _compare, export_model
from foreshock.inference.forecaster import Forecaster
from foreshock.inference.outputs import ModelCard
from foreshock.metrics.calibration import Calibration
from foreshock.nn.config import PAPER, ModelConfig
from foreshock.nn.model import LSTMFCN
from foreshock.run import Run, RunError

ROOT = Path(__file__).parents[3]
SMALL = ModelConfig(filters=(16, 32, 16), cells=4, mixed=(3, 8), random_features=200)
SMALL_PAPER = replace(PAPER, filters=(16, 32, 16), cells=4)
CALIBRATION = Calibration(
    source="out of fold",
    n_cases=4,
    temperature=2.5,
    conformity=((0.1, 0.2),) * 2,
    n_conformity=(2, 2),
    threshold=0.25,
    policy="so",
)


def saved(
    folder: Path,
    config: ModelConfig,
    n_channels: int,
    n_timepoints: int,
    members: int = 1,
    **fields: object,
) -> Run:
    """Make a complete run of networks of which every weight matters."""
    X = np.random.default_rng(0).normal(size=(12, n_channels, n_timepoints)).astype(np.float32)
    shape = {"n_channels": n_channels, "n_timepoints": n_timepoints, "n_classes": 3}
    models = [stir(LSTMFCN(config, **shape, seed=k), seed=k).eval() for k in range(members)]
    for model in models:
        model.fit_views([X])
        model.random = model.fit_random(torch.from_numpy(X), torch.arange(12) % 3)
    values: dict[str, object] = {
        "model": models[0].config,
        "n_timepoints": n_timepoints,
        "unequal": True,
        "classes": ("a", "b", "ü"),
        "channels": tuple(f"channel {i}" for i in range(n_channels)),
        "majority": "a",
        "choice": "",
        "versions": ("foreshock of old",),
        "members": members,
        **fields,
    }
    run = Run.create(folder, {"config": {}})
    Forecaster(models, ModelCard(**values)).save(run)
    run.finish({})
    return run


def some_series(n_channels: int, n_timepoints: int) -> NDArray[np.float32]:
    """Draw series, of which some have gaps or end early."""
    random = np.random.default_rng(3)
    X = random.normal(size=(7, n_channels, n_timepoints)).astype(np.float32)
    X[1, 0, random.random(n_timepoints) < 0.3] = np.nan
    X[2, :, n_timepoints // 2 :] = np.nan
    X[3, :, 1:2] = np.nan
    return X


def in_onnx_runtime(path: Path, X: NDArray[np.float32]) -> NDArray[np.float32]:
    (proba,) = onnxruntime.InferenceSession(path).run(["proba"], {"series": X})
    return proba


def in_parts(path: Path, X: NDArray[np.float32], n_parts: int) -> NDArray[np.float32]:
    """Ask a file for many series, some at a time."""
    parts = np.array_split(X, n_parts)
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path)
        return np.concatenate([session.run(["proba"], {"series": each})[0] for each in parts])
    program = torch.export.load(path).module()
    with torch.inference_mode():
        return np.concatenate([program(torch.from_numpy(each)).numpy() for each in parts])


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two calibrated members that were trained on windows of readings."""
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    rule = quake_rule(window=16, min_active=2)
    return saved(folder, SMALL, 2, 16, 2, calibration=CALIBRATION, rule=rule, step="1h")


@pytest.fixture(scope="module")
def model(ensemble: Run) -> Path:
    path = ensemble.folder.parent / "model.onnx"
    export_model(ensemble, path)
    return path


@pytest.mark.parametrize(
    ("config", "n_channels", "n_timepoints"),
    [
        pytest.param(SMALL, 1, 16, marks=pytest.mark.slow),
        (
            replace(SMALL, attention=True, padding="valid", dilations=(1, 1, 1), random_features=0),
            1,
            16,
        ),
        pytest.param(
            replace(SMALL, squeeze_excite=True, normalize="series", random_features=0),
            2,
            16,
            marks=pytest.mark.slow,
        ),
        (replace(SMALL, attention=True, squeeze_excite=True), 3, 16),
        pytest.param(
            replace(SMALL, attention=True, squeeze_excite=True, random_features=0),
            4,
            3,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            replace(SMALL_PAPER, attention=True, squeeze_excite=True),
            2,
            16,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["LSTM", "ALSTM valid", "MLSTM", "MALSTM", "MALSTM short", "MALSTM paper"],
)
def test_each_member_says_in_onnx_runtime_what_it_says_in_pytorch(
    config: ModelConfig, n_channels: int, n_timepoints: int, tmp_path: Path
) -> None:
    run = saved(tmp_path / "run", config, n_channels, n_timepoints)
    export_model(run, tmp_path / "model.onnx")
    X = some_series(n_channels, n_timepoints)
    expected = Forecaster.load(run).predict_proba(X)
    assert np.ptp(expected, axis=0).max() > 0.01  # not the same for all
    for some in (slice(7), slice(1), slice(2, 3)):
        found = in_onnx_runtime(tmp_path / "model.onnx", X[some])
        np.testing.assert_allclose(found, expected[some], atol=1e-5)
    X, _ = draw_odd_series(500, n_channels, n_timepoints)
    found = in_onnx_runtime(tmp_path / "model.onnx", X)
    np.testing.assert_allclose(found, Forecaster.load(run).predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_the_summary_of_a_window_is_inside(tmp_path: Path, suffix: str) -> None:
    config = replace(SMALL, random_features=0, summary=True, summary_trees=5, normalize="train")
    run = saved(tmp_path / "run", config, 2, 24)
    exported = export_model(run, tmp_path / f"model{suffix}")  # compares them, to 1e-5
    assert "the model's" in exported.checked
    if suffix == ".onnx":
        X = some_series(2, 24)
        expected = Forecaster.load(run).predict_proba(X)
        found = in_onnx_runtime(tmp_path / "model.onnx", X)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_members_and_temperature_are_inside(ensemble: Run, model: Path) -> None:
    X = some_series(2, 16)
    expected = Forecaster.load(ensemble).predict_proba(X)
    np.testing.assert_allclose(in_onnx_runtime(model, X), expected, atol=1e-5)


def test_a_program_of_torch_export_says_the_same(
    ensemble: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt2"
    assert app.run(["export", str(ensemble.folder), "-o", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["file"], said["bytes"]) == (str(path), path.stat().st_size)
    assert app.run(["export", str(ensemble.folder), "-o", str(path)]) == app.USAGE
    assert "never overwritten" in capsys.readouterr().err
    extra = {"foreshock": ""}
    program = torch.export.load(path, extra_files=extra).module()
    assert json.loads(extra["foreshock"])["classes"] == ["a", "b", "ü"]
    X, _ = draw_odd_series(500, 2, 16)
    for some in (X, X[:1]):
        expected = Forecaster.load(ensemble).predict_proba(some)
        np.testing.assert_allclose(program(torch.from_numpy(some)), expected, atol=1e-5)
    X[1] = np.nan  # no reading at all is no forecast
    found = program(torch.from_numpy(X[:3])).numpy()
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), [False, True, False])
    with zipfile.ZipFile(path) as file:
        assert not [name for name in file.namelist() if names_this_machine(file.read(name))]


def test_a_file_gives_no_probability_where_there_is_no_reading(model: Path) -> None:
    X = some_series(2, 16)
    X[1] = np.nan
    found = in_onnx_runtime(model, X)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), np.arange(len(X)) == 1)


def test_a_sensor_that_stands_still_has_a_probability_in_the_file(
    ensemble: Run, model: Path
) -> None:
    X = np.full((3, 2, 16), 20.5, np.float32)
    X[1] = 0
    X[2, :, 1:] = np.nan
    found = in_onnx_runtime(model, X)
    np.testing.assert_allclose(found, Forecaster.load(ensemble).predict_proba(X), atol=1e-5)


def test_a_file_names_nothing_of_the_machine_that_made_it(model: Path) -> None:
    assert not names_this_machine(model.read_bytes())
    graph = onnx.load(model).graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        assert (list(part.metadata_props), part.doc_string) == ([], "")


def names_this_machine(data: bytes) -> bool:
    here = (str(Path(foreshock.__file__).parent), str(Path.home()), sys.prefix, "site-packages")
    return any(place.encode() in data for place in here)


def test_a_file_can_be_quantized(ensemble: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    quantize_dynamic(model, path, weight_type=QuantType.QUInt8, op_types_to_quantize=["Conv"])
    X = some_series(2, 16)
    expected = Forecaster.load(ensemble).predict_proba(X)
    np.testing.assert_allclose(in_onnx_runtime(path, X), expected, atol=0.05)


def test_a_model_that_is_not_exact_has_a_probability_where_a_sensor_stands_still(
    tmp_path: Path,
) -> None:
    run = saved(tmp_path / "run", replace(SMALL, exact=False), 1, 16)
    export_model(run, tmp_path / "model.onnx")
    X, kinds = draw_odd_series(500, 1, 16)
    found = in_onnx_runtime(tmp_path / "model.onnx", X)
    expected = Forecaster.load(run).predict_proba(X)
    assert np.isfinite(found).all()
    usual = kinds == KINDS.index("as usual")
    np.testing.assert_allclose(found[usual], expected[usual], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("squeeze_excite", [False, True])
@pytest.mark.parametrize("attention", [False, True])
def test_of_20000_odd_series_all_have_the_models_probabilities(
    attention: bool, squeeze_excite: bool, n_channels: int, tmp_path: Path
) -> None:
    config = ModelConfig(attention=attention, squeeze_excite=squeeze_excite)
    if attention or squeeze_excite:  # the random convolutions beside them are the same
        config = replace(config, random_features=2000)
    run = saved(tmp_path / "run", config, n_channels, 60)
    X, kinds = draw_odd_series(20_000, n_channels, 60)
    expected = Forecaster.load(run).predict_proba(X)
    for suffix in (".onnx", ".pt2"):
        path = tmp_path / f"model{suffix}"
        export_model(run, path)
        found = in_parts(path, X, 200)
        difference = np.abs(found - expected).max(axis=1)
        above = {name: int((difference[kinds == k] > 1e-5).sum()) for k, name in enumerate(KINDS)}
        # more than ten deviations from what it was trained on, its sums have fewer digits
        strange = np.nanmax(np.abs(X), axis=(1, 2)) > 10 if n_channels > 1 else np.zeros(20_000) > 0
        sys.stdout.write(
            f"\n{suffix} {attention=} {squeeze_excite=} {n_channels=}: largest difference"
            f" {difference.max():.2g}, above 1e-5: {above}\n"
        )
        assert np.isfinite(found).all()
        assert (difference[~strange] <= 1e-5).all()
        assert (difference <= 1e-3).all() and (difference > 1e-5).mean() < 0.005


def test_what_the_caller_stands_in_changes_no_file(tmp_path: Path) -> None:
    run = saved(tmp_path / "run", SMALL_PAPER, 1, 16)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            export_model(run, tmp_path / "model.pt2")
    finally:
        torch.set_default_dtype(torch.float32)
    program = torch.export.load(tmp_path / "model.pt2").module()
    X = some_series(1, 16)
    expected = Forecaster.load(run).predict_proba(X)
    np.testing.assert_allclose(program(torch.from_numpy(X)), expected, atol=1e-5)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_what_training_took_off_is_inside_and_the_file_takes_float64(
    suffix: str, tmp_path: Path
) -> None:
    offset = (0.0, 1e8)
    run = saved(tmp_path / "run", SMALL_PAPER, 2, 16, offset=offset)
    path = tmp_path / f"model{suffix}"
    export_model(run, path)
    X = some_series(2, 16).astype(np.float64) + np.array(offset)[:, None]
    expected = Forecaster.load(run).predict_proba(X)
    extra = {"foreshock": ""}
    if suffix == ".onnx":
        found = in_onnx_runtime(path, X)
        card = json.loads(onnx.load(path).metadata_props[0].value)
    else:
        found = torch.export.load(path, extra_files=extra).module()(torch.from_numpy(X))
        card = json.loads(extra["foreshock"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (card["dtype"], card["offset"]) == ("float64", [0.0, 1e8])


@pytest.mark.parametrize("suffix", [".onnx", pytest.param(".pt2", marks=pytest.mark.slow)])
def test_the_level_of_a_series_scaled_by_itself_says_nothing_to_the_file_either(
    suffix: str, tmp_path: Path
) -> None:
    run = saved(tmp_path / "run", replace(SMALL, random_features=0), 1, 16, offset=(1e8,))
    path = tmp_path / f"model{suffix}"
    export_model(run, path)
    base = some_series(1, 16).astype(np.float64)
    base[0, 0, 3] = np.nan
    for level in (1e8, 1.01e8, 0.0, 2e8, -1e8, 1.1e9):
        expected = Forecaster.load(run).predict_proba(base + level)
        np.testing.assert_allclose(in_parts(path, base + level, 1), expected, atol=1e-5)


def test_the_metadata_say_what_else_there_is_to_know(ensemble: Run, model: Path) -> None:
    proto = onnx.load(model)
    (entry,) = proto.metadata_props
    assert entry.key == "foreshock"
    card = json.loads(entry.value)
    assert card["classes"] == ["a", "b", "ü"]
    assert card["channels"] == ["channel 0", "channel 1"]
    assert (card["n_timepoints"], card["step"], card["threshold"]) == (16, "1h", 0.25)
    assert card["rule"]["window"] == 16
    assert card["trained_with"] == ["foreshock of old"]
    assert card["digest"] == ensemble.read("model")["digest"]
    assert card["sha256"].keys() == {"model.safetensors"}


def test_the_documented_lines_need_numpy_and_onnxruntime_alone(
    ensemble: Run, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = clean_python(tmp_path / "clean")
    X = some_series(2, 16)
    np.save(model.parent / "series.npy", X)
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len([line for line in lines.splitlines() if line]) == 10
    said = subprocess.run(
        [python, "-I", "-X", "utf8", "-c", lines],
        cwd=model.parent,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = [ast.literal_eval(line) for line in said.stdout.splitlines()]
    np.savez(tmp_path / "new.npz", X=X)
    assert app.run(["predict", str(ensemble.folder), str(tmp_path / "new.npz"), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)
    assert [list(case) for case in found] == [predictions["classes"]] * len(X)
    proba = [list(case.values()) for case in found]
    np.testing.assert_allclose(proba, predictions["proba"], atol=1e-5)


def clean_python(folder: Path) -> Path:
    """Make an environment that has numpy and onnxruntime, and nothing else but what these need."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["-c", ROOT / "constraints.txt", "numpy", "onnxruntime"]
    try:
        subprocess.run([*pip, *wanted], check=True, capture_output=True, text=True, timeout=600)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"numpy and onnxruntime cannot be installed here: {error.stderr[-300:]}")
    except subprocess.TimeoutExpired:
        pytest.skip("numpy and onnxruntime cannot be installed here in ten minutes")
    unwanted = "import importlib.util as u; print(*map(u.find_spec, ('foreshock', 'torch')))"
    said = subprocess.run([python, "-I", "-c", unwanted], capture_output=True, text=True)
    assert said.stdout == "None None\n"
    return python


def test_another_suffix_is_refused(ensemble: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.onnx, for ONNX, or \.pt2, for torch"):
        export_model(ensemble, tmp_path / "model.tflite")


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, path = saved(tmp_path / "run", SMALL_PAPER, 1, 16), tmp_path / "model.pt2"
    assert app.run(["export", str(run.folder), "-o", str(path)]) == 0
    said = capsys.readouterr()
    assert "MiB), its probabilities, read back, the model's." in said.out + said.err


def test_a_file_that_is_there_is_not_overwritten(ensemble: Run, model: Path) -> None:
    before = model.read_bytes()
    with pytest.raises(FileExistsError, match="is never overwritten: choose another name"):
        export_model(ensemble, model)
    assert model.read_bytes() == before


def test_a_run_that_did_not_end_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"config": {}})
    with pytest.raises(RunError, match=r"scores\.json is missing. The training did not end: cont"):
        export_model(run, tmp_path / "model.onnx")


def test_a_missing_package_names_the_extra(
    ensemble: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install 'foreshock\[onnx\]'"):
        export_model(ensemble, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime_the_file_is_right_but_said_not_to_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    run = saved(tmp_path / "run", SMALL_PAPER, 1, 16)
    exported = export_model(run, tmp_path / "model.onnx")
    assert exported.checked.endswith("not compared: there is no onnxruntime here")
    X = some_series(1, 16)
    expected = Forecaster.load(run).predict_proba(X)
    np.testing.assert_allclose(in_onnx_runtime(tmp_path / "model.onnx", X), expected, atol=1e-5)


def test_what_says_something_else_than_the_model_is_refused(ensemble: Run) -> None:
    forecaster = Forecaster.load(ensemble)
    with pytest.raises(ExportError, match=r"differ by 0\.001 from the model's, so no file"):
        _compare(lambda X: forecaster.predict_proba(X) + np.float32(1e-3), forecaster)
