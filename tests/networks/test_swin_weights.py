"""ImageNet weights by name, from generated files in the official form and in timm's."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from semiseg.errors import UserError
from semiseg.networks.swin_unet import SwinConfig, SwinUnet
from semiseg.networks.swin_weights import OFFICIAL, load_pretrained
from semiseg.networks.weight_files import hub_file

State = dict[str, Tensor]


def official(width: int = 16, head: int = 8, window: int = 7) -> State:
    """Names and shapes of the official Swin-T release, of any width (96 in the release, with heads of 32)."""
    generator = torch.Generator().manual_seed(9)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    state = {
        "patch_embed.proj.weight": random(width, 3, 4, 4),
        "patch_embed.proj.bias": random(width),
        "patch_embed.norm.weight": random(width),
        "patch_embed.norm.bias": random(width),
    }
    for i in range(4):
        c = width * 2**i
        for j in range(2):
            block = f"layers.{i}.blocks.{j}."
            if j == 1 and i < 3:
                windows = (56 // 2**i // 7) ** 2
                state[block + "attn_mask"] = torch.zeros(windows, 49, 49)
            for norm in ("norm1", "norm2"):
                state |= {block + norm + ".weight": random(c), block + norm + ".bias": random(c)}
            table = random((2 * window - 1) ** 2, c // head)
            state[block + "attn.relative_position_bias_table"] = table
            state[block + "attn.relative_position_index"] = torch.zeros(window**2, window**2).long()
            for name, rows, columns in (
                ("attn.qkv", 3 * c, c), ("attn.proj", c, c),
                ("mlp.fc1", 4 * c, c), ("mlp.fc2", c, 4 * c),
            ):  # fmt: skip
                state[f"{block}{name}.weight"] = random(rows, columns)
                state[f"{block}{name}.bias"] = random(rows)
        if i < 3:
            state[f"layers.{i}.downsample.reduction.weight"] = random(2 * c, 4 * c)
            state[f"layers.{i}.downsample.norm.weight"] = random(4 * c)
            state[f"layers.{i}.downsample.norm.bias"] = random(4 * c)
    state |= {"norm.weight": random(8 * width), "norm.bias": random(8 * width)}
    return state | {"head.weight": random(1000, 8 * width), "head.bias": random(1000)}


def usable(state: State) -> State:
    unused = ("attn_mask", "relative_position_index")
    return {k: v for k, v in state.items() if not k.endswith(unused) and not k.startswith("head")}


def build(width: int = 16, head: int = 8, window: int | None = 7, size: int = 224) -> SwinUnet:
    torch.manual_seed(1)
    return SwinUnet(1, size, SwinConfig(embed_dim=width, head_dim=head, window=window))


def names(network: SwinUnet) -> State:
    """Tensors by official name; encoder and decoder have no name in common."""
    return network.encoder.state_dict() | network.decoder.state_dict()


def check_loaded(network: SwinUnet, state: State) -> None:
    """Every tensor of the encoder, and of the decoder's blocks at the same resolutions."""
    own = names(network)
    for name, tensor in usable(state).items():
        assert torch.equal(own[name], tensor), name
    for up, down in ((0, 2), (1, 1), (2, 0)):
        for name, tensor in usable(state).items():
            if name.startswith(f"layers.{down}.blocks"):
                mirrored = name.replace(f"layers.{down}.", f"layers_up.{up}.")
                assert torch.equal(own[mirrored], tensor), mirrored


def test_the_tiny_network_takes_every_tensor_of_the_official_file(tmp_path: Path) -> None:
    state = official(96, 32)
    assert len(usable(state)) == 119
    torch.save({"model": state, "optimizer": {}}, tmp_path / "swin_tiny.pth")
    network = build(96, 32)
    untouched = {k: v.clone() for k, v in names(network).items() if "expand" in k or "fuse" in k}
    report = load_pretrained(network, str(tmp_path / "swin_tiny.pth"))
    check_loaded(network, state)
    blocks = len(
        [k for k in usable(state) if k.startswith(("layers.0.b", "layers.1.b", "layers.2.b"))]
    )
    assert report.loaded == len(usable(state)) + blocks
    assert str(report.loaded) in report.message
    assert "swin_tiny.pth" in report.message
    assert untouched
    assert all(torch.equal(names(network)[k], v) for k, v in untouched.items())


def test_timm_names_and_safetensors(tmp_path: Path) -> None:
    state = official()
    timm = {
        k.replace(f"layers.{i}.downsample", f"layers.{i + 1}.downsample"): v
        for k, v in state.items()
        for i in ([int(k[7])] if "downsample" in k else [0])
    }
    assert "layers.1.downsample.norm.weight" in timm
    assert "layers.0.downsample.norm.weight" not in timm
    save_file(timm, str(tmp_path / "model.safetensors"))
    network = build()
    load_pretrained(network, str(tmp_path / "model.safetensors"))
    check_loaded(network, state)


def test_tables_of_another_window_are_resized_bicubically(tmp_path: Path) -> None:
    state = official()
    torch.save(state, tmp_path / "weights.pth")
    network = build(size=96, window=6)  # sides 24, 12, 6, 3; the last stage has windows of 3
    load_pretrained(network, str(tmp_path / "weights.pth"))
    own = names(network)
    for name, side in (
        ("layers.0.blocks.1", 11),
        ("layers.3.blocks.0", 5),
        ("layers_up.2.blocks.1", 11),
    ):
        source = name.replace("layers_up.2", "layers.0") + ".attn.relative_position_bias_table"
        table = state[source]
        for head in range(table.shape[1]):
            grid = table[:, head].reshape(1, 1, 13, 13)
            expected = F.interpolate(grid, (side, side), mode="bicubic", align_corners=False)
            found = own[name + ".attn.relative_position_bias_table"][:, head].reshape(side, side)
            torch.testing.assert_close(found, expected[0, 0])
    assert torch.equal(
        own["layers.0.blocks.0.attn.qkv.weight"], state["layers.0.blocks.0.attn.qkv.weight"]
    )


def unchanged(network: SwinUnet, before: State) -> bool:
    return all(torch.equal(v, before[k]) for k, v in names(network).items())


def copy_of(network: SwinUnet) -> State:
    return {k: v.clone() for k, v in names(network).items()}


def test_an_unreachable_hub_leaves_the_weights_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> State:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    network = build()
    before = copy_of(network)
    report = load_pretrained(network, "hub")
    assert report.loaded == 0
    assert "random weights" in report.message
    assert "swin.pretrained=FILE" in report.message
    assert unchanged(network, before)


def test_the_hub_is_asked_once_for_the_official_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, asked = official(), []

    def fetch(url: str, file: str, **kwargs: Any) -> None:
        asked.append(url)
        torch.save({"model": state}, file)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    network = build()
    assert load_pretrained(network, "hub").loaded > 0
    check_loaded(network, state)
    (url,) = asked
    assert url.endswith("/swin_tiny_patch4_window7_224.pth")
    narrow = build(8, 4)
    before = copy_of(narrow)
    report = load_pretrained(narrow, "hub")  # another width is reported, not an error
    assert report.loaded == 0
    assert "swin.embed_dim 96, not 8" in report.message
    assert unchanged(narrow, before)
    assert len(asked) == 1


def test_a_damaged_download_is_named_and_not_taken_for_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = hub_file(OFFICIAL)
    path.parent.mkdir()
    torch.save({"model": official()}, path)
    flip(path)
    with pytest.raises(
        UserError, match=rf"{path.name} is not a readable.*remove it, and it is down"
    ):
        load_pretrained(build(), "hub")


def test_a_flipped_bit_is_noticed_where_the_form_has_checksums(tmp_path: Path) -> None:
    state, path = official(), tmp_path / "weights.pth"
    torch.save(state, path)
    flip(path)
    with pytest.raises(
        UserError, match=r"weights\.pth is not a readable file of weights, or is dam"
    ):
        load_pretrained(build(), str(path))
    torch.save(state, path, _use_new_zipfile_serialization=False)
    network = build()
    load_pretrained(network, str(path))
    check_loaded(network, state)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "content", ["missing", "text", "cut", "resnet", "tensor", "list", "safetensors"]
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / ("weights.safetensors" if content == "safetensors" else "weights.pth")
    if content in ("text", "safetensors"):
        path.write_text("these are no weights")
    elif content == "cut":
        torch.save(official(), path)
        path.write_bytes(path.read_bytes()[:5000])
    elif content == "resnet":
        torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    elif content == "tensor":
        torch.save(torch.zeros(3, 3), path)
    elif content == "list":
        torch.save([torch.zeros(3)], path)
    network = build()
    before = copy_of(network)
    with pytest.raises(UserError, match=r"weights\.(pth|safetensors)"):
        load_pretrained(network, str(path))
    assert unchanged(network, before)


def test_none_is_said() -> None:
    network = build()
    before = copy_of(network)
    report = load_pretrained(network, "none")
    assert (report.loaded, unchanged(network, before)) == (0, True)
    assert "random weights" in report.message
