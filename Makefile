# What people and CI run. Everything lives in .venv; remove it to start afresh.
PYTHON ?= python3
