"""Sites: addresses computed from a U-Net's shape."""

import pytest

from portraittalk_core.sites import Site, UNetShape

SD15 = UNetShape(channels=(320, 640, 1280, 1280), layers=2, attention=(True, True, True, False), cross_dim=768)


def test_sd15_has_its_16_attention_sites_and_25_layers_less_upsamplers():
    assert len(SD15.attention_sites()) == 16
    assert len(SD15.layer_sites()) == 8 + 1 + 12


def test_adapter_order_is_that_of_the_public_files():
    """Widths by number as listed for ip-adapter-faceid_sd15: down, up, then mid (number 31)."""
    widths = {2 * k + 1: SD15.width(s) for k, s in enumerate(SD15.adapter_sites())}
    expected = dict.fromkeys((1, 3, 25, 27, 29), 320) | dict.fromkeys((5, 7, 19, 21, 23), 640)
    expected |= dict.fromkeys((9, 11, 13, 15, 17, 31), 1280)
    assert widths == expected
    assert SD15.adapter_sites()[-1] == Site("mid", 0, 0)


def test_sites_sort_in_running_order():
    assert sorted(SD15.layer_sites()) == SD15.layer_sites()


def test_blocks_without_attention_are_no_attention_sites():
    assert Site("down", 3, 0) not in SD15.attention_sites()
    assert Site("up", 0, 0) not in SD15.attention_sites()
    assert Site("up", 3, 2) in SD15.attention_sites()


@pytest.mark.parametrize(
    ("site", "width"),
    [
        (Site("down", 0, 0), 320),
        (Site("down", 1, 0), 320),
        (Site("down", 1, 1), 640),
        (Site("mid", 0, 0), 1280),
        (Site("up", 0, 0), 1280),
        (Site("up", 2, 0), 1280),
        (Site("up", 3, 0), 640),
        (Site("up", 3, 1), 320),
    ],
)
def test_input_width_is_that_of_the_map_that_arrives(site, width):
    assert SD15.input_width(site) == width


def test_skips_are_named_by_the_layers_that_join_them():
    sites = SD15.skip_sites()
    assert [str(s) for s in (sites[0], sites[1], sites[-1])] == ["up.3.2", "up.3.1", "up.0.0"]
    widths = [320] * 4 + [640] * 3 + [1280] * 5  # those of a ControlNet's zero convolutions
    assert [SD15.skip_width(site) for site in sites] == widths


def test_a_site_prints_as_its_address():
    assert str(Site("up", 1, 2)) == "up.1.2"
