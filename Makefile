# make Fig2    set up and make a figure: any name in config/config.yaml
# make test    set up and run the tests
# make quick   set up and run those that are quick, as after every save: no workflows, no trainings,
#              and few of the random examples
# make lint    set up and run the linters
# make docs    write config/README.md and workflow/schemas from the config models
# make clean   remove what can be had again: the environment and logs; results stay
# make clean-results  remove results and checkpoints too, after asking: days of training perhaps
# make site    set up and build the documentation as a site in site/, to be opened in a browser
# make bench   set up and measure speed, side by side
# make bench-cost  the same for time and memory against the number of neurons; takes long

PYTHON ?= python3
CORES ?= all
VENV := .venv
BIN := $(VENV)/bin
# The tests of a file share what is made once for all of them. In their order, as the longest files
# have the fewest tests and would else come last, each on one core.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# Without bytecode every run, and every process of it, compiles all it loads anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help test quick lint docs site bench bench-cost clean clean-results
.DEFAULT_GOAL := help

help:
	@sed -n '/^#/s/^# //p' Makefile

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(None if ok else \
	f"ngpipe needs Python 3.11 to 3.13, got {sys.version.split()[0]}; set PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

test: $(VENV)/installed
	$(BIN)/python -m pytest $(PARALLEL)

# Thousands of small files are written, and kept of failed tests alone: in memory, where Linux has
# more than 1 GB of it for files.
quick: export PYTEST_DEBUG_TEMPROOT = $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR > 1 && $$4 > 1e6 {print "/dev/shm"}')
quick: $(VENV)/installed
	$(BIN)/python -m pytest -m 'not slow' --hypothesis-profile quick -o tmp_path_retention_policy=failed $(PARALLEL)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

docs: $(VENV)/installed
	$(BIN)/python -m ngpipe.config.describe

$(VENV)/site: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[site]'
	@touch $@

site: $(VENV)/site
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d $(VENV)/doctrees docs site

bench: $(VENV)/installed $(VENV)/flyvis $(VENV)/pysindy $(VENV)/oasis-deconv
	$(BIN)/python bench/run.py
	$(BIN)/python bench/connectome.py
	$(BIN)/python bench/circuit.py
	$(BIN)/python bench/importing.py
	$(BIN)/python bench/neighbours.py --neurons 30
	$(BIN)/python bench/deconvolution.py

# Methods to compare with; nothing else here needs them.
$(VENV)/pysindy $(VENV)/oasis-deconv: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt $(@F)
	@touch $@

bench-cost: $(VENV)/installed
	$(BIN)/python bench/cost.py

clean:
	rm -rf $(VENV) logs benchmarks

clean-results:
	@printf 'remove results/, checkpoints/ and .snakemake/ (%s)? [y/N] ' "$$(du -sh results 2>/dev/null | cut -f1)"; \
	read answer; [ "$$answer" = y ] && rm -rf results checkpoints logs benchmarks .snakemake

# Connectomes and responses that a package carries: its data file is read, nothing of it is imported. Without
# the package the step looks further, and says what there is to do.
OpticLobe: $(VENV)/flyvis
Worm: $(VENV)/cect
WormActivity: $(VENV)/cect $(VENV)/wormneuroatlas

$(VENV)/flyvis $(VENV)/cect $(VENV)/wormneuroatlas: $(VENV)/installed
	-$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt $(@F) && touch $@

# Any other target is a figure.
%: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES) results/$@/

Makefile pyproject.toml constraints.txt: ;
