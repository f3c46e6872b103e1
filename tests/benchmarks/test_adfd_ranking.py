"""The table that ranks the model against what must lose."""

import pytest

from benchmarks.adfd_ranking import ranking


def records(adfd, clips):
    parts = {"spatial": 0.9, "temporal": 0.8, "audio": 0.7}
    return [{"file": f"p{k}.mp4", "adfd": adfd + 0.01 * k, **parts} for k in range(clips)]


@pytest.mark.slow
def test_variants_are_compared_on_the_clips_they_share_with_the_full_model():
    text = ranking({"full": records(0.8, 6), "still": records(0.1, 4), "own-head": records(0.9, 9)})
    rows = {row.split(" | ")[0].strip("| "): row.split(" | ") for row in text.splitlines() if row.startswith("| ")}
    assert list(rows)[1:] == ["own head", "full model", "still image"], "the highest first"
    assert rows["still image"][1] == "4" and rows["still image"][8:] == ["4 of 4", "yes |"]
    assert rows["own head"][1] == "6" and rows["own head"][8:] == ["0 of 6", " |"]
    assert rows["still image"][7].startswith("-0.700 [") and rows["own head"][7].startswith("+0.100 [")
    assert rows["full model"][3:7] == ["0.900", "0.800", "0.700", ""]
    assert "- **no audio branch** was not made: the weights have no trained audio branch" in text
