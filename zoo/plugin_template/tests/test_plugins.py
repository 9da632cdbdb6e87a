"""Each plugin keeps to its contract, and to numbers that come from somewhere else."""

import pytest
import torch
from my_sparknn_plugin.mixer import mixer
from my_sparknn_plugin.poly1 import poly1
from my_sparknn_plugin.scale import scale
from my_sparknn_plugin.solarize import solarize
from PIL import Image

from sparknn_magic.testing import check_plugin


@pytest.mark.parametrize("plugin", [mixer, scale, solarize, poly1])
def test_it_keeps_to_its_contract(plugin):
    check_plugin(plugin)


def test_poly1_adds_the_missing_probability():
    logits = torch.tensor([[0.0, 0.0]])
    assert poly1(epsilon=2.0)(logits, torch.tensor([1])) == pytest.approx(0.6931 + 2 * 0.5, abs=1e-4)


def test_solarize_inverts_bright_pixels_alone():
    picture = Image.new("L", (2, 1))
    picture.putpixel((1, 0), 200)
    assert list(solarize(threshold=128)(picture).tobytes()) == [0, 55]


def test_scale_multiplies_channels():
    layer = scale((3, 2, 2), start=2.0)
    assert torch.equal(layer(torch.ones(1, 3, 2, 2)), torch.full((1, 3, 2, 2), 2.0))
