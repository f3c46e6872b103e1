"""Throughput over workers: what is counted, and a drawing that shows the figures."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from argparse import Namespace

import pytest

from benchmarks.batch_throughput import ProcessTree, Throughput, busy_s, page, processes
from benchmarks.parts.line_plot import Line, line_plot

FOUND = [Throughput(1, 8, 60.0, 20.0, 6.0, 5.0, 0.1), Throughput(2, 8, 40.0, 21.0, 3.0, 6.0, 0.2)]


def test_a_table_holds_what_was_measured():
    text = page(FOUND, Namespace(rows=8, seconds=1.0))
    assert "| 1 | 60 | 20 | 6.0 | 600 | 1.00 | 5.0 | 0.1 |" in text
    assert "| 2 | 40 | 21 | 3.0 | 1200 | 2.00 | 6.0 | 0.2 |" in text


def test_a_drawing_is_svg_with_a_point_a_figure():
    lines = [Line("measured", [(1, 600), (2, 1000)]), Line("times one & all", [(1, 600), (2, 1200)], dashed=True)]
    root = ElementTree.fromstring(line_plot(lines, "workers", "videos an hour"))
    points = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(points) == 2 and points[0][0] < points[1][0] and points[0][1] > points[1][1]
    said = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"workers", "videos an hour", "measured", "times one & all", "1e+03", "600"} <= set(said)


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="NOT TESTED: time of processes, which only Linux tells")
def test_the_time_of_a_process_holds_that_of_its_children():
    work = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'for _ in range(10**7): pass'])"
    before = busy_s()
    with subprocess.Popen([sys.executable, "-c", work]) as process:
        tree = ProcessTree(process.pid)
        while process.poll() is None:
            tree._sample()
    assert tree.finish() > 0.05 and busy_s() > before
    assert os.getpid() in {number for number, _, _ in processes()}
