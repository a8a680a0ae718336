"""Packaging of GPEMSR; the tools' settings are in pyproject.toml, the tested pins in requirements.lock."""

import ast
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = next(
    ast.literal_eval(line.partition("=")[2].strip())
    for line in (here / "gpemsr" / "__init__.py").read_text(encoding="utf-8").splitlines()
    if line.startswith("__version__")
)
readme = here / "README.md"

setup(
    name="gpemsr",
    version=version,
    description="Large-factor super-resolution of electron-microscopy volumes with generative priors",
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["gpemsr", "gpemsr.*"]),
    package_data={"gpemsr.benchmark.report": ["templates/*.jinja"]},
    install_requires=[
        "basicsr==1.4.2",
        "einops>=0.7",
        "h5py>=3.8",
        "imagecodecs>=2023.3",
        "lmdb>=1.4",
        "matplotlib>=3.7",
        "matplotlib-scalebar>=0.8",
        "numpy>=1.26",
        "opencv-python>=4.8",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "requests>=2.31",
        "scikit-image>=0.22",
        "scipy>=1.11",
        "setuptools<81",  # tensorboard wants pkg_resources
        "tensorboard>=2.15",
        "tifffile>=2023.7",
        "torch>=2.3",
        "torchvision>=0.18",
        "tqdm>=4.65",
        "zarr>=3.0; python_version >= '3.11'",
        "zarr>=2.16; python_version < '3.11'",
    ],
    extras_require={
        "benchmark": [
            "adjustText>=1.3",
            "connected-components-3d>=4.1",
            "jinja2>=3.1",
            "lpips>=0.1.4",
            "markdown>=3.5",
            "pandas>=2.2",
            "piq>=0.8",
            "tabulate>=0.9",
            "waterz>=0.10.1",
        ],
        "mmagic": ["mmagic==1.2.0", "onedl-mmcv>=2.2", "onedl-mmengine>=0.10"],
        "test": ["hypothesis>=6.100", "mypy>=1.10", "pre-commit>=3.7", "pytest>=8", "pytest-timeout>=2.3", "ruff>=0.6"],
    },
    entry_points={
        "console_scripts": [
            "gpemsr-train=gpemsr.cli.train:main",
            "gpemsr-test=gpemsr.cli.test:main",
            "gpemsr-lmdb=gpemsr.cli.lmdb:main",
            "gpemsr-convert=gpemsr.cli.convert:main",
            "gpemsr-phantom=gpemsr.cli.phantom:main",
            "gpemsr-download-cremi=gpemsr.cli.download_cremi:main",
            "gpemsr-demo=gpemsr.cli.demo:main",
            "gpemsr-train-mmagic=gpemsr.cli.train_mmagic:main",
            "gpemsr-parameters=gpemsr.cli.parameters:main",
            "gpemsr-benchmark=gpemsr.cli.benchmark:main",
            "gpemsr-benchmark-train=gpemsr.cli.benchmark_train:main",
        ]
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
