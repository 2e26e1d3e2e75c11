#!/bin/sh
# Pins all.txt, which everything is tested with, and what each image and each extra of the wheel (pyproject.toml)
# installs at its versions. Run after a change of a .in file: make requirements; pins move only as far as that change needs.
# What tells OpenVINO's makers how its converter is used, which nothing here calls, is overridden away.
# The files hold no registry's address, and of each package the SHA-256 of every file that the registry has, so they serve
# all platforms; extras have none, since a wheel's metadata holds none. They are complete, so they are installed with
# `pip install --no-deps --require-hashes`.
set -eu
cd "$(dirname "$0")"

compile() {
  uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header "$@"
}

lock() {
  compile --overrides overrides.txt "$@"
}

lock --generate-hashes all.in --output-file all.txt
lock --generate-hashes tools/clients.in --output-file tools/clients.txt
for image in control train serve; do
  lock --generate-hashes --constraints all.txt "$image.in" --output-file "$image.txt"
done
for extra in extras/control extras/client extras/train extras/openvino extras/mlflow; do
  lock --constraints all.txt "$extra.in" --output-file "$extra.txt"
done
for extra in openvino mlflow; do
  lock --generate-hashes --constraints all.txt "extras/$extra.in" --output-file "$extra.txt"
done
lock --constraints all.txt serve.in --output-file extras/serve.txt
compile --generate-hashes bench.in --output-file bench.txt
for tools in docs lock mlflow supply; do
  compile --generate-hashes "tools/$tools.in" --output-file "tools/$tools.txt"
done
# A package's lines: the first begins with its name, all but the last end with a backslash.
# Triton is a gigabyte that torch.compile alone loads, which needs a C++ compiler too: an image has neither.
sed -i '/^triton==/,/[^\\]$/d' train.txt
# The tests' MLflow server trains nothing: half a gigabyte that it does not import.
for unused in contourpy cycler docker fonttools gunicorn joblib kiwisolver matplotlib narwhals pillow prettytable pyarrow pyparsing \
  pywin32 scikit-learn scipy skops threadpoolctl waitress wcwidth; do
  sed -i "/^$unused==/,/[^\\\\]\$/d" tools/mlflow.txt
done
# Control and train run compiled components; kfp's own dependencies would bring its API client and a second set of pins.
for image in control train; do
  sed -n '/^kfp==/,/[^\\]$/p' all.txt >> "$image.txt"
done
