"""A model computes what its file says, and nothing that cannot be trusted becomes a session."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys

import numpy as np
import pytest

from ptychonyx.runtime.errors import ManifestError, ProviderError
from ptychonyx.runtime.model import providers
from ptychonyx.runtime.model import session as model_module
from ptychonyx.runtime.model.onnx_file import parse_onnx
from ptychonyx.runtime.model.session import Model, may_use_gpu, read_manifest

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
helper, TensorProto = onnx.helper, onnx.TensorProto


def patterns(batch: int = 3):
    return np.random.default_rng(2).random((batch, 1, 8, 8), dtype=np.float32)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_predict(model_path, batch):
    amplitude = patterns(batch)
    patches = Model(model_path(), provider="cpu").predict(amplitude, 3.0)
    assert patches.dtype == np.complex64
    expected = amplitude[:, :, 2:6, 2:6] * np.float32(3)
    np.testing.assert_array_equal(patches.real, expected)
    np.testing.assert_array_equal(patches.imag, expected / 2)


def test_predict_returns_a_view_of_what_onnxruntime_gave(model_path):
    patches = Model(model_path(), provider="cpu").predict(patterns(), 1.0)
    assert patches.base is not None
    assert patches.strides == (4 * 4 * 8, 4 * 4 * 8, 4 * 8, 8)


def test_predict_takes_slices_of_larger_arrays(model_path):
    wide = np.random.default_rng(0).random((4, 1, 8, 16), dtype=np.float32)
    model = Model(model_path(), provider="cpu")
    np.testing.assert_array_equal(
        model.predict(wide[::2, ..., ::2], 1.0),
        model.predict(wide[::2, ..., ::2].copy(), 1.0),
    )


@pytest.mark.parametrize(
    ("amplitude", "scale", "error", "match"),
    [
        (patterns().astype(np.float64), 1.0, TypeError, "float64"),
        (patterns()[:, 0], 1.0, ValueError, r"\(3, 8, 8\), expected \(B, 1, 8, 8\)"),
        (patterns()[..., :7], 1.0, ValueError, "expected"),
        (patterns()[:0], 1.0, ValueError, "1 or more"),
        (np.where(patterns() > 0.99, np.nan, patterns()), 1.0, ValueError, "sample"),
        (patterns(), np.nan, ValueError, "`scale` is nan"),
        (patterns(), 0.0, ValueError, "`scale` is 0"),
    ],
)
def test_predict_refuses(model_path, amplitude, scale, error, match):
    with pytest.raises(error, match=match):
        Model(model_path(), provider="cpu").predict(amplitude, scale)


def test_what_a_model_says_of_itself(model_path):
    path = model_path()
    model = Model(str(path), provider="cpu", num_threads=1)
    assert model.path == path
    assert model.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (model.provider, model.providers) == ("cpu", ("CPUExecutionProvider",))
    manifest, digest = read_manifest(path)
    assert (manifest.to_json(), digest) == (model.manifest.to_json(), model.digest)


def test_verify_passes_and_notices_a_changed_weight(model_path, tiny_model, tmp_path):
    good = Model(model_path(), provider="cpu").verify()
    assert (good.passed, good.largest_difference, good.provider) == (True, 0.0, "cpu")
    changed = tiny_model()
    half = next(tensor for tensor in changed.graph.initializer if tensor.name == "half")
    half.CopyFrom(onnx.numpy_helper.from_array(np.array(0.5001, np.float32), "half"))
    path = tmp_path / "changed.onnx"
    path.write_bytes(changed.SerializeToString())
    bad = Model(path, provider="cpu").verify()
    assert not bad.passed
    assert 1e-5 < bad.largest_difference < 1e-3


def test_verify_fails_when_the_network_gives_nan(tiny_model, tmp_path):
    model = tiny_model()
    half = next(tensor for tensor in model.graph.initializer if tensor.name == "half")
    half.CopyFrom(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), "half"))
    path = tmp_path / "nan.onnx"
    path.write_bytes(model.SerializeToString())
    assert not Model(path, provider="cpu").verify().passed


def without_manifest(model):
    del model.metadata_props[:]
    return model.SerializeToString()


def external_initialiser(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model.SerializeToString()


def external_data_without_location_flag(model):
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")
    return model.SerializeToString()


def external_attribute(model):
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))
    return model.SerializeToString()


def external_in_subgraph(model):
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    branch = helper.make_graph([], "branch", [], [], initializer=[tensor])
    node = helper.make_node("If", ["half"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)
    return model.SerializeToString()


def oversized(model):
    tensor = TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[2**20, 2**20])
    model.graph.initializer.append(tensor)
    return model.SerializeToString()


def negative_size(model):
    model.graph.initializer.append(TensorProto(name="odd", data_type=1, dims=[-1, -1]))
    return model.SerializeToString()


def foreign_node(model):
    model.graph.node[0].domain = "com.example"
    return model.SerializeToString()


def foreign_opset(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model.SerializeToString()


def newer_schema(model):
    entry = model.metadata_props[0]
    entry.value = entry.value.replace('"schema_version":"1.0"', '"schema_version":"2.0"')
    return model.SerializeToString()


def manifest_is_not_json(model):
    model.metadata_props[0].value = "hello"
    return model.SerializeToString()


def two_manifests(model):
    model.metadata_props.add(key="ptychonyx", value="{}")
    return model.SerializeToString()


def input_shape_differs(model):
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 16
    return model.SerializeToString()


def fixed_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model.SerializeToString()


def output_type_differs(model):
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return model.SerializeToString()


def other_names(model):
    model.graph.output[0].name = "crop"
    return model.SerializeToString()


def opset_differs(model):
    model.opset_import[0].version = 17
    return model.SerializeToString()


def broken_graph(model):
    model.graph.node[1].input[0] = "nowhere"
    return model.SerializeToString()


BAD_MODELS = [
    (without_manifest, r"without a `ptychonyx` manifest.*`ptychonyx export RUN -o model.onnx`"),
    (lambda model: model.SerializeToString()[:900], "cut short"),
    (lambda model: b"", "0 bytes"),
    (lambda model: b"PK\x03\x04" + bytes(200), "not an ONNX file"),
    (lambda model: b"version https://git-lfs.github.com/spec/v1\n", "not an ONNX file"),
    (external_initialiser, "another file"),
    (external_data_without_location_flag, "another file"),
    (external_attribute, "`hidden` in another file"),
    (external_in_subgraph, "`hidden` in another file"),
    (oversized, r"`huge` with shape \[1048576, 1048576\]"),
    (negative_size, "`odd`"),
    (foreign_node, r"outside the ONNX standard \(com.example\)"),
    (foreign_opset, r"outside the ONNX standard \(com.microsoft\)"),
    (newer_schema, "schema version 2.0.*newer Ptychonyx"),
    (manifest_is_not_json, "not JSON"),
    (two_manifests, "comes twice"),
    (input_shape_differs, r"`amplitude`.*\('batch', 1, 8, 16\).*promises"),
    (fixed_batch, r"`amplitude`.*\(1, 1, 8, 8\).*promises"),
    (output_type_differs, r"`object_patches`.*type 11"),
    (other_names, r"outputs \['crop'\]"),
    (opset_differs, "opset 17, but its manifest says 18"),
]


@pytest.mark.parametrize(("spoil", "match"), BAD_MODELS)
def test_bad_model_is_refused_before_a_session(tiny_model, tmp_path, monkeypatch, spoil, match):
    path = tmp_path / "bad.onnx"
    path.write_bytes(spoil(tiny_model()))

    def refuse(*_):
        raise AssertionError("a session was asked for")

    monkeypatch.setattr(model_module, "start_session", refuse)
    with pytest.raises(ManifestError, match=match):
        Model(path, provider="cpu")


def test_graph_that_onnxruntime_refuses(tiny_model, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(broken_graph(tiny_model()))
    with pytest.raises(ManifestError, match=r"cannot load .*export it again"):
        Model(path, provider="cpu")


def test_graph_that_breaks_its_promise_at_run_time(tiny_model, tmp_path):
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "stops":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([5, 5], np.int64), "stops"))
    path = tmp_path / "liar.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ManifestError, match=r"shape \(3, 1, 3, 3, 2\).*promises"):
        Model(path, provider="cpu").predict(patterns(), 1.0)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("last.ckpt", "pytorch"),
        ("net.pt", "pytorch"),
        ("net.pth", "pytorch"),
        ("best.keras", "tensorflow"),
        ("best.weights.h5", "tensorflow"),
        ("best.h5", "tensorflow"),
        ("weights.safetensors", "tensorflow or pytorch"),
    ],
)
def test_native_checkpoint_names_its_backend(tmp_path, name, backend):
    path = tmp_path / name
    path.write_bytes(b"weights")
    with pytest.raises(ManifestError, match=rf"checkpoint of {backend}.*`ptychonyx export RUN -o"):
        Model(path)


@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
@pytest.mark.parametrize("part", ["", "weights.safetensors", "checkpoints/epoch-00003.ckpt"])
def test_run_folder_and_its_files_name_the_backend(tmp_path, backend, part):
    pytest.importorskip("yaml", reason="a run's config is YAML")
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(f"epochs: 3\nbackend: {backend}\n")
    (run / "weights.safetensors").write_bytes(b"weights")
    (run / "checkpoints/epoch-00003.ckpt").write_bytes(b"weights")
    with pytest.raises(ManifestError, match=rf"of {backend}, but.*`ptychonyx export {run} -o"):
        Model(run / part)


def test_unreadable_config_names_both_backends(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text("{ not: [yaml")
    with pytest.raises(ManifestError, match="run folder of tensorflow or pytorch"):
        Model(tmp_path)


def test_missing_file_and_plain_folder(tmp_path):
    with pytest.raises(ManifestError, match="There is no file"):
        Model(tmp_path / "nowhere.onnx")
    with pytest.raises(ManifestError, match="is a folder"):
        Model(tmp_path)


def test_unknown_provider_lists_what_there_is(model_path):
    with pytest.raises(ValueError, match=r"'gpu'.*auto, cpu, cuda, tensorrt, openvino"):
        Model(model_path(), provider="gpu")
    with pytest.raises(ValueError, match="`num_threads` is 0"):
        Model(model_path(), num_threads=0)
    with pytest.raises(ValueError, match="`predictions_at_once` is 0"):
        Model(model_path(), predictions_at_once=0)


needs_no_gpu = pytest.mark.skipif(
    providers._why_no_driver() is None, reason="this machine has an NVIDIA GPU"
)


@needs_no_gpu
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_named_provider_that_does_not_start_is_an_error(model_path, provider, capfd):
    with pytest.raises(ProviderError, match=f"{provider} does not start: .*NVIDIA driver"):
        Model(model_path(), provider=provider)
    assert capfd.readouterr() == ("", "")


@needs_no_gpu
def test_missing_cuda_libraries_are_the_reason(model_path, monkeypatch, capfd):
    spec = providers.PROVIDERS["cuda"]
    driver = providers.Provider(spec.ort_name, spec.options, spec.wheel, lambda ort: None)
    monkeypatch.setitem(providers.PROVIDERS, "cuda", driver)
    with pytest.raises(ProviderError, match=r"cuda does not start: .*(library|without it)"):
        Model(model_path(), provider="cuda")
    assert capfd.readouterr() == ("", "")


@needs_no_gpu
def test_auto_says_why_it_runs_on_the_cpu(model_path, caplog, capfd):
    with caplog.at_level(logging.INFO, logger="ptychonyx"):
        model = Model(model_path())
    assert model.provider == "cpu"
    assert "running on the CPU because cuda does not start: " in caplog.text
    assert "CPUExecutionProvider" in caplog.text
    assert capfd.readouterr().out == ""


@pytest.mark.gpu
def test_cuda_verifies_itself(model_path):
    if providers._why_no_driver() is not None:
        pytest.skip("this machine has no NVIDIA GPU")
    model = Model(model_path(), provider="cuda")
    assert model.providers[0] == "CUDAExecutionProvider"
    assert model.verify().passed


def test_provider_that_fails_while_starting_is_not_taken(model_path, monkeypatch, caplog):
    class Failing:
        """onnxruntime whose CUDA fails, as with a driver that is too old."""

        def __init__(self):
            self.tried = []

        def __getattr__(self, name):
            return getattr(ort, name)

        def get_available_providers(self):
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

        def InferenceSession(self, data, *, providers, **options):
            self.tried.append(providers[0])
            if providers[0][0] != "CPUExecutionProvider":
                raise RuntimeError("CUDA failure 35: driver is insufficient")
            return ort.InferenceSession(data, providers=providers, **options)

    failing = Failing()
    spec = providers.PROVIDERS["cuda"]
    able = providers.Provider(spec.ort_name, spec.options, spec.wheel, lambda ort: None)
    monkeypatch.setitem(providers.PROVIDERS, "cuda", able)
    monkeypatch.setattr(model_module, "_import_onnxruntime", lambda: failing)
    with pytest.raises(ProviderError, match="onnxruntime says: CUDA failure 35"):
        Model(model_path(), provider="cuda")
    with caplog.at_level(logging.INFO, logger="ptychonyx"):
        assert Model(model_path()).provider == "cpu"
    assert "CUDA failure 35" in caplog.text
    assert failing.tried[0] == ("CUDAExecutionProvider", {"use_tf32": "0"})


def test_without_onnxruntime_both_pip_lines_are_named(model_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeError, match=r'"ptychonyx\[cpu\]".*"ptychonyx\[gpu\]"'):
        Model(model_path())


def test_two_wheels_are_warned_of(model_path, monkeypatch, caplog):
    both = ("onnxruntime", "onnxruntime-gpu")
    monkeypatch.setattr(model_module, "_is_installed", lambda wheel: wheel in both)
    Model(model_path(), provider="cpu")
    assert "onnxruntime and onnxruntime-gpu are installed together" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_importing_the_module_imports_no_onnxruntime():
    code = (
        "import sys, ptychonyx.runtime.model.session, ptychonyx.runtime.reconstruction.reconstruct\n"
        "print([name for name in ('onnxruntime', 'onnx', 'torch', 'keras', 'tensorflow', 'yaml') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sizes_of_string_tensors_and_packed_dims_are_read():
    tensor = helper.make_tensor("text", TensorProto.STRING, [2], [b"a", b"b"])
    graph = helper.make_graph([], "g", [], [], initializer=[tensor])
    file = parse_onnx(helper.make_model(graph).SerializeToString(), "x.onnx")
    assert [(each.name, each.dims) for each in file.tensors] == [("text", (2,))]


@pytest.mark.parametrize(
    ("installed", "driver", "expected"),
    [
        (["CUDAExecutionProvider", "CPUExecutionProvider"], None, True),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], "no driver", False),
        (["CPUExecutionProvider"], None, False),
    ],
)
def test_auto_may_use_a_gpu_only_where_wheel_and_driver_are_there(
    installed, driver, expected, monkeypatch
):
    monkeypatch.setattr(ort, "get_available_providers", lambda: installed)
    monkeypatch.setattr(providers, "_why_no_driver", lambda: driver)
    assert may_use_gpu("auto") is expected
    assert (may_use_gpu("cpu"), may_use_gpu("tensorrt")) == (False, True)
