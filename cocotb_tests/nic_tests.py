# SPDX-License-Identifier: Apache-2.0
"""Which builds of the whole NIC the tests use, and how a module's cocotb tests become pytest ones."""

from dataclasses import dataclass

from cocotb_tests.agents import axi_monitor, axis, bar, msix

TOP = "tupelo_nic"
PORTS = (
    *("clk", "rst", "mac_addr_i", "mtu_i", "link_up_i"),
    *(f"s_axil_{pin}" for pin in bar.PINS),
    *(f"m_axi_{pin}" for pin in axi_monitor.PINS),
    *(f"m_axis_tx_{pin}" for pin in axis.SINK_PINS),
    *(f"s_axis_rx_{pin}" for pin in axis.SOURCE_PINS),
    *(f"m_msix_{pin}" for pin in msix.PINS),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Parameters of one build."""

    queue_pairs: int
    data_w: int
    rd_slots: int = 128
    desc_cache: int = 128
    queue_size_max: int = 1024

    def __str__(self) -> str:
        extra = (self.rd_slots, self.desc_cache, self.queue_size_max)
        corner = "" if extra == (128, 128, 1024) else "-slots{}-cache{}-ring{}".format(*extra)
        return f"{self.queue_pairs}x{self.data_w}{corner}"

    @property
    def parameters(self) -> dict[str, int]:
        """As Verilog names them."""
        return {
            "QUEUE_PAIRS": self.queue_pairs,
            "DATA_W": self.data_w,
            "RD_SLOTS": self.rd_slots,
            "DESC_CACHE": self.desc_cache,
            "QUEUE_SIZE_MAX": self.queue_size_max,
        }


# Each build costs a minute: the short run has the two ends, `make sim-long` the rest.
WIDE = Shape(4, 512)
NARROW = Shape(1, 128)
SHORT = (WIDE, NARROW)
MANY = Shape(64, 512)
LEAN = Shape(2, 256, rd_slots=4, desc_cache=16)
LARGE = Shape(2, 512, rd_slots=64, desc_cache=64, queue_size_max=32768)
LONG = (Shape(8, 512), Shape(4, 256), MANY, Shape(8, 128), Shape(1, 512), LEAN, LARGE)
