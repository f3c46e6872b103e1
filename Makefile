# The environment is made once, in .venv; delete it to start afresh. README.md has the same commands for Windows.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ASSETS := portraittalk_core/assets
PROMPT := a smiling person with red hair in front of a blue background

.PHONY: demo test lint train-tiny bench clean

demo: $(VENV)/ready
	$(BIN)/python -m portraittalk_core generate --image $(ASSETS)/portrait.png --audio $(ASSETS)/speech.wav \
		--prompt "$(PROMPT)" -o demo.mp4 --preview demo.png

test: $(VENV)/ready
	$(BIN)/python -m pytest -q

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Hours on a CPU; run it again to go on. Speech needs espeak-ng.
train-tiny: $(VENV)/ready
	test -f runs/clips/speech_clips.npz || \
		$(BIN)/python -m portraittalk_core.training.clips --out runs/clips/speech_clips.npz
	$(BIN)/python -m portraittalk_core.training.recipe --work runs/tiny --speech runs/clips/speech_clips.npz

bench: $(VENV)/ready
	$(BIN)/python benchmarks/tiny_figures.py

clean:
	rm -rf $(VENV) demo.mp4 demo.png .pytest_cache .ruff_cache

# torch comes first and alone: pip then keeps the build that is there instead of drawing a second one.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[standalone,train,dev]'
	touch $@
