# Each target does all of its set-up on a fresh Debian machine with python3, python3-venv
# and make. What is set up already is left as it is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Another one, with the oldest releases of servers that are supported.
OLDEST := .venv-oldest
# And one for each other Python: .venv-3.12 and so on.
OTHERS := .venv-3
# What tests unpack or run, and do not fetch themselves.
FETCHED := .fetched
# What downloads is tried again. Nothing is downloaded while tests run (tests/conftest.py).
RETRY := sh tools/retry
# The hashes of constraints hold all the same: this lets in our own folder, which has none.
INSTALL := pip install --quiet --no-require-hashes --build-constraint constraints.txt
# In three processes, on two cores: tests of servers wait more than they compute.
# conftest.py says what has to be in one. What fails is run once more, alone.
TOGETHER := -n 3 --dist loadgroup --no-loadscope-reorder -p tools.retest

.PHONY: demo test test-quick test-pythons lint bench bench-quick bench-page bench-more \
	bench-tools format clean

demo: $(VENV)/demo
	$(BIN)/heliograph demo

test: $(VENV)/dev $(OLDEST)/tests $(FETCHED)/all $(FETCHED)/clients $(FETCHED)/old-sqlite.so
	sh tools/debian_packages chromium redis-server redis-tools nginx openssl iproute2 \
		apache2-bin libapache2-mod-wsgi-py3 caddy haproxy curl
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(TOGETHER)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(OLDEST)/bin/python -m pytest $(TOGETHER) -m oldest \
		-k 'not (asgi or hypercorn or granian or daphne or gunicorn-uvicorn or eventlet)' \
		tests/e2e/test_servers.py tests/e2e/test_streams_from_views.py

test-quick: $(VENV)/dev $(FETCHED)/all $(FETCHED)/old-sqlite.so
	$(BIN)/python -m pytest $(TOGETHER) -n 4 -m "not server and not timeout"

# On every other Python from 3.12 on that is found.
test-pythons: $(FETCHED)/all $(FETCHED)/old-sqlite.so
	@set -e; \
	pythons=$$(sh tools/pythons $(PYTHON)); \
	echo "other Pythons that were found:" $${pythons:-none}; \
	for python in $$pythons; do \
		folder=$(OTHERS).$${python##*python3.}; \
		$(MAKE) --no-print-directory PYTHON=$$python $$folder/quick; \
		$$folder/bin/python -m pytest $(TOGETHER) -m "not server and not once and not exhaustive"; \
		ran="$$ran $$python"; \
	done; \
	echo "other Pythons that passed:" $${ran:-none}

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Beside other hubs, some 35 minutes; then docs/performance.md can be made of it: bench-page.
bench: bench-tools
	$(BIN)/python bench

bench-quick: bench-tools
	$(BIN)/python bench --quick

bench-page: $(VENV)/dev
	$(BIN)/python bench --page

# What has no peer, or one of its own.
bench-more: bench-tools
	$(BIN)/python bench/client.py
	$(BIN)/python bench/compression.py
	$(BIN)/python bench/cors.py
	$(BIN)/python bench/state.py
	$(BIN)/python bench/redis.py
	$(BIN)/python bench/stuck.py
	$(BIN)/python bench/soak.py
	$(BIN)/python bench/faults --minutes 10

# Peers are set up by the bench itself.
bench-tools: $(VENV)/dev
	command -v cc >/dev/null || sh tools/debian_packages gcc libc6-dev
	command -v redis-server >/dev/null || sh tools/debian_packages redis-server

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(OLDEST) $(OTHERS).* $(FETCHED) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/pip: constraints.txt requirements-pip.txt
$(OLDEST)/pip: constraints-oldest.txt requirements-pip.txt
.PRECIOUS: %/pip
%/pip:
	$(PYTHON) -m venv $(@D)
	$(RETRY) $(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-pip.txt
	touch $@

$(FETCHED)/all: $(VENV)/pip tests/fetched.txt
	sh tools/fetch $(BIN)/pip tests/fetched.txt $(FETCHED)
	touch $@

# Clients that are not Python's. A machine may have Node and Go from elsewhere than Debian.
$(FETCHED)/clients: tests/fetched_npm.txt tests/clients/in_go.go
	command -v npm >/dev/null || sh tools/debian_packages nodejs npm
	command -v go >/dev/null || sh tools/debian_packages golang-go
	sh tools/fetch_npm tests/fetched_npm.txt $(FETCHED)/npm
	go build -o $(FETCHED)/client-in-go tests/clients/in_go.go
	touch $@

# A library that Python loads instead of the system's, in one test.
$(FETCHED)/old-sqlite.so: tests/fetched_sqlite.txt tools/build_sqlite
	command -v npm >/dev/null || sh tools/debian_packages nodejs npm
	command -v cc >/dev/null || sh tools/debian_packages gcc libc6-dev
	sh tools/fetch_npm tests/fetched_sqlite.txt $(FETCHED)/sqlite
	sh tools/build_sqlite $(FETCHED)/sqlite/better-sqlite3-*.tgz $@

$(VENV)/demo: $(VENV)/pip pyproject.toml
	$(RETRY) $(BIN)/$(INSTALL) -c constraints.txt -e '.[flask]'
	touch $@

$(VENV)/dev: $(VENV)/pip pyproject.toml
	$(RETRY) $(BIN)/$(INSTALL) -c constraints.txt -e '.[all]' --group dev
	touch $@ $(VENV)/demo

$(OTHERS).%/quick: $(OTHERS).%/pip constraints.txt pyproject.toml
	$(RETRY) $(@D)/bin/$(INSTALL) -c constraints.txt -e '.[all]' --group dev
	touch $@

$(OLDEST)/tests: $(OLDEST)/pip pyproject.toml
	$(RETRY) $(OLDEST)/bin/$(INSTALL) -c constraints-oldest.txt \
		-e '.[flask,redis,asgi,speed]' --group oldest
	touch $@
