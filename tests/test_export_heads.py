"""Packed heads, read back as the format page describes them, equal the torch heads."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load as load_safetensors

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.errors import BundleError  # noqa: E402
from jiffexport.heads import describe_head, pack_heads  # noqa: E402
from jiffexport.nets import ColorNet, ImplicitHead, ShapeNet  # noqa: E402
from untrained_checkpoints import COLOR_CONFIG, SHAPE_CONFIG  # noqa: E402


def evaluate_packed(packed: bytes, entry: dict, samples: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The head as `docs/bundle.md` describes it, from nothing but the packed tensors. -> (out, N)."""
    tensors = {name: value.astype(np.float64) for name, value in load_safetensors(packed).items()}
    raw = np.concatenate([samples, depth[None] * entry["depth_scale"]])
    hidden = raw
    num_layers = len(entry["widths"]) - 1
    for i in range(num_layers):
        x = hidden if i == 0 else np.concatenate([hidden, raw])
        prefix = f"{entry['prefix']}.layers.{i}"
        hidden = tensors[f"{prefix}.weight"] @ x + tensors[f"{prefix}.bias"][:, None]
        assert hidden.shape[0] == entry["widths"][i + 1]
        if i < num_layers - 1:
            hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    return 1 / (1 + np.exp(-hidden)) if entry["activation"] == "sigmoid" else (np.tanh(hidden) + 1) / 2


@pytest.mark.parametrize(("store", "tolerance"), [("fp32", 1e-6), ("fp16", 1e-3)])  # worst: 7e-8, 1e-4
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_packed_head_read_back_equals_the_torch_head(store: str, tolerance: float, activation: str) -> None:
    torch.manual_seed(1)
    head = ImplicitHead(16, (24, 12), 3, 1.28, activation)
    generator = np.random.default_rng(0)
    samples, depth = generator.standard_normal((16, 50)), generator.uniform(-1, 1, 50)
    with torch.no_grad():
        expected = head(torch.from_numpy(samples).float()[None], torch.from_numpy(depth).float()[None])[
            0
        ].numpy()
    entry = describe_head(head, "shape", ("shape_encoder",), "heads.safetensors")
    assert entry["widths"] == [17, 24, 12, 3]
    got = evaluate_packed(pack_heads({"shape": head}, store), entry, samples, depth)
    np.testing.assert_allclose(got, expected, atol=tolerance)


def test_packed_heads_share_a_file_by_prefix_and_precision() -> None:
    heads = {"shape": ShapeNet(SHAPE_CONFIG).head, "color": ColorNet(COLOR_CONFIG).head}
    tensors = load_safetensors(pack_heads(heads, "fp16"))
    assert {name.split(".")[0] for name in tensors} == {"shape", "color"}
    assert {value.dtype for value in tensors.values()} == {np.dtype(np.float16)}
    assert tensors["color.layers.0.weight"].shape == (256, 33)


def test_head_weight_beyond_half_precision_is_refused_by_name() -> None:
    head = ImplicitHead(4, (8,), 1, 1.0, "sigmoid")
    with torch.no_grad():
        head.layers[1].bias[0] = 1e6
    with pytest.raises(BundleError, match="shape.layers.1.bias: largest magnitude 1e\\+06"):
        pack_heads({"shape": head}, "fp16")
    assert pack_heads({"shape": head}, "fp32")
