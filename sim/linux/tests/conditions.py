# SPDX-License-Identifier: Apache-2.0
"""Marks of tests that need root and TAP devices, and of those that need a program as well."""

import shutil

import pytest

from sim.linux.namespace import missing

TAP_MARKS = [pytest.mark.tap, pytest.mark.skipif(missing() != "", reason=missing())]


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip without these programs, and name them."""
    lack = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(lack), reason=f"not installed: {', '.join(lack)}")
