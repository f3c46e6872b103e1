# The environment is made once, in .venv; delete it to start afresh. README.md has the same commands for Windows.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ASSETS := portraittalk_core/assets
PROMPT := a smiling person with red hair in front of a blue background

.PHONY: demo test test-comfyui lint train-tiny bench clean

demo: $(VENV)/ready
	$(BIN)/python -m portraittalk_core generate --image $(ASSETS)/portrait.png --audio $(ASSETS)/speech.wav \
		--prompt "$(PROMPT)" -o demo.mp4 --preview demo.png

test: $(VENV)/ready
	$(BIN)/python -m pytest -q

# Against a real ComfyUI: COMFYUI_PATH (default ~/comfy/ComfyUI), run by COMFYUI_PYTHON, which needs its requirements,
# ours, pytest and, for the browser test, playwright with Chromium. One line a test file.
COMFYUI_PYTHON ?= $(BIN)/python
test-comfyui:
	@status=0; for file in tests/nodes/test_*.py tests/nets/test_unet_keys.py tests/hosts/test_*.py; do \
		printf '%-36s ' $$file; \
		COMFYUI_PYTHON=$(COMFYUI_PYTHON) $(COMFYUI_PYTHON) -m pytest -q --no-header $$file > .comfyui-test.log 2>&1 \
			|| { [ $$? -eq 5 ] || { status=1; cat .comfyui-test.log; }; }; \
		tail -n 1 .comfyui-test.log; \
	done; rm -f .comfyui-test.log; exit $$status

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# Hours on a CPU; run it again to go on. Speech needs espeak-ng.
train-tiny: $(VENV)/ready
	$(BIN)/python -m portraittalk_core.training.recipe --work runs/tiny

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
