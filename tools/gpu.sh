#!/usr/bin/env bash
# The tests that need a GPU, on a machine that has PyTorch and JAX for it and reaches no package registry.
#
#     tools/gpu.sh prepare [PYTHON_VERSION]   where there is a network: wheels of all else into .gpu/ (default 3.12)
#     tools/gpu.sh                            there, in the checkout with .gpu/: within ten minutes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
needed=(editables h5py hatchling hypothesis isal keras ml-dtypes msgpack optree psutil pytest pytest-timeout rich safetensors
  tomli-w typer)
if [[ ${1:-} == prepare ]]; then
  pip download -q --dest .gpu --only-binary :all: --python-version "${2:-3.12}" \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 "${needed[@]}"
  exit
fi
python3 -m venv --system-site-packages /tmp/gpu
/tmp/gpu/bin/pip install -q --no-index --find-links .gpu "${needed[@]}"
/tmp/gpu/bin/pip install -q --no-index --find-links .gpu --no-deps --no-build-isolation -e .
contract=(tests/contract/engines/test_{engine,updates,captured_steps,non_finite}.py tests/contract/random/test_random.py)
failed=0
for name in torch jax; do
  chosen=(env "MULTILEARN_BACKEND=$name" "KERAS_BACKEND=$name" XLA_PYTHON_CLIENT_PREALLOCATE=false)
  "${chosen[@]}" timeout 200 /tmp/gpu/bin/python -m pytest -q -rP tests/long/gpu || failed=1
  "${chosen[@]}" timeout 90 /tmp/gpu/bin/python -m pytest -q "${contract[@]}" || failed=1
done
exit $failed
