"""What pyproject.toml cannot say: folders beside the package that an installed mmspec holds inside of it."""

from setuptools import find_packages, setup

BUNDLED = {"mmspec.bundled.data_prep": "data_prep", "mmspec.bundled.recipes": "recipes"}

setup(packages=[*find_packages(include=["mmspec*"]), *BUNDLED], package_dir=BUNDLED)
