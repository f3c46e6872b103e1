"""The public files of a model are fetched when they are asked for, their licences accepted, and never otherwise."""

import pytest


@pytest.fixture
def downloads(pack, tmp_path, monkeypatch):
    """Return the fetching into an empty folder of models, and what it asked for; nothing leaves this machine."""
    module, asked = pack("nodes.downloading"), []

    def fetch(entry, folder):
        asked.append(entry.name)
        if entry.name in refused:
            raise module.PortraitTalkError(f"{entry.name}: no. `portraittalk models where {entry.name}` says more.")
        target = folder / entry.save_as
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        return target

    refused = set()
    monkeypatch.setattr(module, "fetch", fetch)
    monkeypatch.setattr(module, "check_disk", lambda wanted, folder: None)
    here = lambda entry, folders: next((f for f in folders if (f / entry.save_as).exists()), None)  # noqa: E731
    monkeypatch.setattr(module, "find", here)
    monkeypatch.delenv("PORTRAITTALK_MODELS", raising=False)
    (tmp_path / "models").mkdir()
    return module.Downloads(tmp_path / "models"), asked, refused


def test_each_file_is_described_and_models_that_need_none_have_none(downloads):
    fetching, asked, _ = downloads
    files = fetching.files("sd15-portraittalk")
    assert len(files) > 5 and not any(each["here"] for each in files)
    assert all(each["licence"] and each["bytes"] > 0 and "/" in each["file"] for each in files)
    assert fetching.files("tiny") == fetching.files("tiny-fast") == [] and not asked
    fast = {each["file"] for each in fetching.files("sd15-portraittalk-fast")} - {each["file"] for each in files}
    assert len(fast) == 3 and any("taesd" in name for name in fast)


def test_licences_that_forbid_commercial_use_must_be_accepted(downloads, pack):
    fetching, asked, _ = downloads
    with pytest.raises(pack("portraittalk_core.errors").BadInput, match="may not be used commercially"):
        fetching.start("sd15-portraittalk", accepted=False)
    assert not asked and fetching.progress()["of"] == 0


def test_what_is_missing_comes_one_after_the_other_and_a_stop_is_said(downloads):
    fetching, asked, refused = downloads
    names = [each["name"] for each in fetching.files("sd15-portraittalk")]
    refused.add(names[2])
    fetching.start("sd15-portraittalk", accepted=True)
    fetching.wait()
    assert asked == names[:3]
    progress = fetching.progress()
    assert (progress["done"], progress["of"], progress["file"]) == (2, len(names), "")
    assert "`python -m portraittalk_core models where" in progress["error"]
    refused.clear()
    fetching.start("sd15-portraittalk", accepted=True)
    fetching.wait()
    assert asked[3:] == names[2:], "what has come is not fetched again"
    assert fetching.progress()["error"] == "" and all(each["here"] for each in fetching.files("sd15-portraittalk"))
