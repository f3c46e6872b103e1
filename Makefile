# The environment is made once, in .venv; delete it to start afresh. docs/install.md has the same commands for Windows.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/install.log
ASSETS := portraittalk_core/assets
PHOTOGRAPH := workflows/inputs/astronaut.jpg
PROMPT := a smiling person
DEV := train,dev

.PHONY: demo test test-all test-comfyui coverage lint docs train-tiny fuzz bench wheel clean

demo: $(VENV)/installed
	@echo "Making demo.mp4 from $(PHOTOGRAPH) and $(ASSETS)/speech.wav ..."
	@$(BIN)/python -m portraittalk_core generate --image $(PHOTOGRAPH) --audio $(ASSETS)/speech.wav \
		--prompt "$(PROMPT)" -o demo.mp4 --preview demo.png
	@echo "The video is $(CURDIR)/demo.mp4. Some of its frames are in demo.png."

# Two processes of one thread each: two threads of one process wait for each other more than they do.
TEST_JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -n $(TEST_JOBS) --dist loadfile

test: $(VENV)/ready
	@$(PYTEST)

# The slow ones too: minutes more.
test-all: $(VENV)/ready
	@$(PYTEST) -m "not gpu"

# The default tests with a figure for every file; fails below the floor of pyproject.toml.
coverage: $(VENV)/ready
	@$(PYTEST) --cov --cov-report=term:skip-covered

# Against a real ComfyUI: COMFYUI_PATH (default ~/comfy/ComfyUI), run by COMFYUI_PYTHON, which needs its requirements,
# ours, pytest and, for the browser tests, playwright with Chromium. What is missing is said first. A line for each
# test file, COMFYUI_JOBS (2) of them at a time. COMFYUI_FRONTEND names further frontends for the browser tests, see tests/hosts/browser.py.
COMFYUI_PYTHON ?= $(BIN)/python
test-comfyui:
	@COMFYUI_PYTHON=$(COMFYUI_PYTHON) $(COMFYUI_PYTHON) tests/hosts/needs.py
	@COMFYUI_PYTHON=$(COMFYUI_PYTHON) $(COMFYUI_PYTHON) tests/hosts/run_files.py \
		tests/nodes tests/web tests/nets/test_unet_keys.py tests/hosts/test_*.py

lint: $(VENV)/ready
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/pyright -p pyrightconfig.nodes.json
	@$(BIN)/lint-imports

# The site, in site/; every warning is an error. Serve it while writing: .venv/bin/mkdocs serve
docs: $(VENV)/docs-ready
	$(call quietly,Building the site ...,NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict)
	@echo "The site is $(CURDIR)/site/index.html."

# All parts in order, each on those before it: hours on a CPU; run it again to go on. Speech needs espeak-ng and flite.
TINY := people text speech structure faces dense-motion vae clips denoiser
train-tiny: $(VENV)/people-ready
	@for part in $(TINY); do \
		echo "$$part ..."; $(BIN)/python -m portraittalk_core train --part $$part --out runs/tiny/$$part || exit 1; \
	done
	@echo "The model is $(CURDIR)/runs/tiny/denoiser/model."

# Damaged files by the thousand, from a fixed seed, then Ctrl-C at random moments of `generate`; findings in runs/fuzz.
FUZZ := 10000
INTERRUPTS := 200
fuzz: $(VENV)/ready
	@$(BIN)/python -m benchmarks.fuzz --count $(FUZZ) --page docs/reliability.md
	@$(BIN)/python -m benchmarks.interrupts --count $(INTERRUPTS) --page docs/reliability.md

bench: $(VENV)/ready
	@$(BIN)/python -m benchmarks.rendered_people

wheel: $(VENV)/installed
	$(call quietly,Building a wheel in dist/ ...,$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .)
	@ls -l dist/*.whl

clean:
	rm -rf $(VENV) demo.mp4 demo.png site build dist .pytest_cache .ruff_cache .coverage

# $(call quietly,what,command): say what is done; what the command prints goes to a log, which is shown if it fails.
define quietly
@echo "$(1)"
@{ $(2); } > $(LOG) 2>&1 || { cat $(LOG); echo "Failed: $(1) The output is above, and in $(LOG)."; exit 1; }
endef

# What `make demo` needs. torch comes first and alone: pip then keeps the build that is there instead of a second one.
$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Making the environment in $(VENV), once. It takes some minutes."
	@$(PYTHON) -m venv $(VENV)
	$(call quietly,  1 of 3: pip ...,$(BIN)/python -m pip install --upgrade pip)
	$(call quietly,  2 of 3: torch ...,$(BIN)/python -m pip install -c constraints.txt torch)
	$(call quietly,  3 of 3: PortraitTalk and what it needs ...,$(BIN)/python -m pip install -c constraints.txt -e '.[standalone]')
	@touch $@

# What tests and tools need besides.
$(VENV)/ready: $(VENV)/installed
	$(call quietly,Installing what tests and training need ...,$(BIN)/python -m pip install -c constraints.txt -e '.[standalone$(COMMA)$(DEV)]')
	@touch $@

$(VENV)/people-ready: $(VENV)/ready
	$(call quietly,Installing what draws people ...,$(BIN)/python -m pip install -c constraints.txt -e '.[people]')
	@touch $@

$(VENV)/docs-ready: $(VENV)/installed
	$(call quietly,Installing what the documentation needs ...,$(BIN)/python -m pip install -c constraints.txt -e '.[standalone$(COMMA)docs]')
	@touch $@

COMMA := ,
