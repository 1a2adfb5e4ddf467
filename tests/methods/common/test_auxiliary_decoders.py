"""Auxiliary decoders: each sees its own maps, and has weights and a head of its own."""

import torch

from semiseg.data.manifest import PreparedData
from semiseg.methods.common.auxiliary_decoders import AuxiliaryDecoders
from semiseg.networks.build import build_network
from semiseg.testing.data import small_settings
from semiseg.training.configuration import resolve_config


def test_each_decoder_sees_its_own_maps(small_data: PreparedData) -> None:
    config = resolve_config(
        small_data.manifest, "supervised", None, small_settings("supervised"), {}
    ).config
    network = build_network(small_data.task, config, "unet").eval()
    changes = [{"upsampling": "bilinear"}, {"upsampling": "transposed"}]
    auxiliary = AuxiliaryDecoders(network, 5, changes).eval()
    maps = network.encode(torch.rand(2, 1, 32, 32))
    seen = [maps, [2 * x for x in maps]]
    found = auxiliary(network, seen)
    assert [tuple(x.shape) for x in found] == [(2, 5, 32, 32)] * 2
    for x, own, decoder, head in zip(found, seen, auxiliary.decoders, auxiliary.heads, strict=True):
        assert torch.equal(x, head(decoder(own)[-1]))
    kinds = [
        any(isinstance(m, torch.nn.ConvTranspose2d) for m in decoder.modules())
        for decoder in auxiliary.decoders
    ]
    assert kinds == [False, True]
