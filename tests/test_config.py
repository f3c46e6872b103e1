"""Configuration records: values that stay."""

import dataclasses

import pytest

from portraittalk_core import presets


def test_records_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        presets.tiny().size = 512  # pyright: ignore[reportAttributeAccessIssue]
