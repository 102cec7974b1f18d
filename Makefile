PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# more options for pytest: .ci/run is stricter than a laptop may be
STRICT :=

.PHONY: setup book test talk lint mutants clean help
.DEFAULT_GOAL := help

help:
	@echo "make book   execute the chapters that make test has not, and build the pages into _build/html"
	@echo "make test   unit tests and every chapter, checked cell by cell"
	@echo "make talk   a public-domain photograph says a sentence: out/talk.mp4"
	@echo "make lint   format, lint and import rules"
	@echo "make mutants FILES=talkface_lite/clip.py   break the package on purpose; does a test notice?"
	@echo "make clean  remove what was built, the environment included"

setup: $(READY)

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"talkface_lite needs Python 3.11 to 3.13, got {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(READY)

book: $(READY)
	rm -rf _build/html _build/.doctrees _build/jupyter_execute
	OMP_NUM_THREADS=1 $(BIN)/jupyter-book build . -W -n --keep-going
	@test -s _build/html/book/index.html || { echo "no page was built" >&2; exit 1; }
	$(BIN)/python -m pytest -q tests/book/test_pages.py tests/book/test_browser.py --pages=_build/html $(STRICT)
	@echo "open _build/html/index.html"

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout 600 \
		--nbval-kernel-startup-timeout 600 --nb-budget 90 --nb-keep $(STRICT)

talk: $(READY)
	$(BIN)/talkface talk --photo hopper --text "The most dangerous phrase is: we have always done it this way." --system atvg --scene --out out/talk.mp4

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

mutants: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py $(FILES) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(TESTS),--tests $(TESTS)) $(if $(LEAST),--least $(LEAST))

clean:
	rm -rf _build out $(VENV) .pytest_cache .ruff_cache .import_linter_cache *.egg-info build dist
