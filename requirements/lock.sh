#!/bin/sh
# Pins all.txt, which everything is tested with, and what each image and each extra of the wheel (pyproject.toml)
# installs at its versions. Run after a change of a .in file: sh requirements/lock.sh; pins move only as far as that change needs.
# What tells OpenVINO's makers how its converter is used, which nothing here calls, is overridden away.
# The files hold no registry's address; they are complete, so they are installed with `pip install --no-deps`.
set -eu
cd "$(dirname "$0")"

lock() {
  uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
    --overrides overrides.txt "$@"
}

lock all.in --output-file all.txt
lock clients.in --output-file clients.txt
for name in control train serve extras/control extras/client extras/train extras/openvino; do
  lock --constraints all.txt "$name.in" --output-file "$name.txt"
done
for tools in docs supply; do
  uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
    "tools/$tools.in" --output-file "tools/$tools.txt"
done
# Triton is a gigabyte that torch.compile alone loads, which needs a C++ compiler too: an image has neither.
sed -i '/^triton==/d' train.txt
# Control and train run compiled components; kfp's own dependencies would bring its API client and a second set of pins.
for image in control train; do
  grep '^kfp==' all.txt >> "$image.txt"
done
