"""Words of captions."""

import pytest

from semiseg.config import DataConfig
from semiseg.reporting.captions import input_words


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DataConfig(size=96), "96 x 96 pixels"),
        (DataConfig(crop_size=96), "96 x 96 pixels (crops)"),
        (DataConfig(dimensions=3, patch=(32, 32, 48)), "32 x 32 x 48 voxels"),
    ],
)
def test_the_unit_of_the_input(config: DataConfig, words: str) -> None:
    assert input_words([config.input_size]) == words
