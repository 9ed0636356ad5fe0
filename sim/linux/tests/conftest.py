# SPDX-License-Identifier: Apache-2.0
"""Fixtures of tests with a real kernel."""

from collections.abc import Iterator

import pytest

from sim.linux.host_kernel import HostKernel
from sim.linux.lab import Lab
from sim.linux.rtnetlink import Neighbour, Nud
from sim.linux.tests.host_lab import CONFIG, REMOTE4, REMOTE6


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(CONFIG) as lab:
        for family, address in ((4, REMOTE4), (6, REMOTE6)):
            entry = Neighbour(lab.host.ifindex, family, address, CONFIG.remote.mac, Nud.PERMANENT)
            lab.host.interfaces.add(entry)
        yield lab


@pytest.fixture
def kernel(lab: Lab) -> Iterator[HostKernel]:
    kernel = HostKernel(lab.host.namespace)
    kernel.events(0)
    yield kernel
    kernel.close()
