# SPDX-License-Identifier: Apache-2.0
"""How to bring the NIC up, which features that asks for, and what follows from those negotiated."""

from dataclasses import dataclass

from driver.device import FEATURES_REQUIRED, feature_mask
from driver.errors import UsageError
from driver.offload import Gso, HdrFlag, TxOffload, header_bytes
from driver.registers import Feature

BUFFER_BYTES_MIN = 64
OPTIONAL = (
    Feature.NET_MTU,
    Feature.NET_MAC,
    Feature.NET_STATUS,
    Feature.ACCESS_PLATFORM,
    Feature.ORDER_PLATFORM,
)

# VIRTIO 1.2 section 5.1.3.1: a feature and those of which it needs one. (HASH_REPORT needs a control queue
# there; this device has none, and its privileged side sets the hash up by registers.)
NEEDS = {
    Feature.NET_HOST_TSO4: (Feature.NET_CSUM,),
    Feature.NET_HOST_TSO6: (Feature.NET_CSUM,),
    Feature.NET_HOST_ECN: (Feature.NET_HOST_TSO4, Feature.NET_HOST_TSO6),
}


@dataclass(frozen=True, slots=True)
class NicConfig:
    """How to bring the NIC up. Offloads are off unless asked for; what is asked for must be offered."""

    queue_pairs: int = 1
    channel_pairs: int = 0  # further pairs that others will use (driver.channel): their vectors are enabled
    tx_ring_slots: int = 256
    rx_ring_slots: int = 256
    buffer_bytes: int = 2048  # header included; longer frames take a chain, received ones only if mergeable
    event_idx: bool = True  # event suppression by ring position
    ring_reset: bool = True  # one queue can be reset alone; without it an error stops the device
    rx_fill: bool = True  # give the device all receive buffers at the start
    rx_interrupt_after: int = 1  # moderation: wake after so many frames ... (needs event_idx)
    rx_moderation_ns: int = 20_000  # ... or after this time, whichever is first
    refuse: frozenset[Feature] = frozenset()  # further features to leave out
    tx_csum: bool = False  # the device fills in checksums (send_offload)
    tso4: bool = False  # ... and cuts TCP frames over IPv4; needs tx_csum
    tso6: bool = False  # ... over IPv6
    tso_ecn: bool = False  # ... with CWR in the first segment only; needs tso4 or tso6
    rx_csum: bool = False  # the device says which frames' checksums are right (recv_meta)
    mergeable: bool = False  # a received frame may take several buffers
    hash_report: bool = False  # each received frame comes with its RSS hash; switches the offer on
    indirect_over: int = 0  # chains of more than so many slots go through an indirect table; 0: none do
    indirect_tables: int = 32  # of each transmit queue; when all are in use, chains lie in the ring
    notification_data: bool = False  # doorbells tell how far the ring is filled

    def asked(self) -> frozenset[Feature]:
        """The offloads and options that must be offered for this configuration."""
        choices = {
            Feature.NET_CSUM: self.tx_csum,
            Feature.NET_HOST_TSO4: self.tso4,
            Feature.NET_HOST_TSO6: self.tso6,
            Feature.NET_HOST_ECN: self.tso_ecn,
            Feature.NET_GUEST_CSUM: self.rx_csum,
            Feature.NET_MRG_RXBUF: self.mergeable,
            Feature.NET_HASH_REPORT: self.hash_report,
            Feature.RING_INDIRECT_DESC: self.indirect_over > 0,
            Feature.NOTIFICATION_DATA: self.notification_data,
        }
        return frozenset(feature for feature, wanted in choices.items() if wanted)

    def features(self) -> tuple[int, int]:
        """Masks of the features to take if offered, and of those that must be offered."""
        optional = set(OPTIONAL)
        if self.event_idx:
            optional.add(Feature.RING_EVENT_IDX)
        if self.ring_reset:
            optional.add(Feature.RING_RESET)
        required = self.asked() | frozenset(FEATURES_REQUIRED)
        return feature_mask(frozenset(optional - self.refuse)), feature_mask(required)

    def check(self) -> None:
        """UsageError if this cannot work on any device."""
        if self.queue_pairs < 1:
            raise UsageError(f"start: {self.queue_pairs} queue pairs")
        if self.buffer_bytes < BUFFER_BYTES_MIN:
            raise UsageError(f"start: buffers of {self.buffer_bytes} bytes, at least {BUFFER_BYTES_MIN}")
        if not 1 <= self.rx_interrupt_after <= self.rx_ring_slots:
            raise UsageError(
                f"start: interrupt after {self.rx_interrupt_after} of {self.rx_ring_slots} slots"
            )
        if self.indirect_over < 0 or (self.indirect_over and self.indirect_tables < 1):
            raise UsageError(
                f"start: indirect over {self.indirect_over} slots, {self.indirect_tables} tables"
            )
        asked = self.asked()
        for feature in sorted(asked):
            needed = NEEDS.get(feature, ())
            if needed and not asked.intersection(needed):
                names = " or ".join(one.name for one in needed)
                raise UsageError(f"start: {feature.name} needs {names} (VIRTIO 1.2 section 5.1.3.1)")
        if both := asked & self.refuse:
            raise UsageError(f"start: {min(both).name} is asked for and refused")


@dataclass(frozen=True, slots=True)
class Mode:
    """What the negotiated features mean for the queues."""

    header_bytes: int = header_bytes(False)  # before each frame, both ways
    rx_flags: int = 0  # header flags that a received frame may have
    mergeable: bool = False
    notification_data: bool = False
    tx_csum: bool = False
    gso: frozenset[Gso] = frozenset()
    gso_ecn: bool = False

    @classmethod
    def of(cls, features: int) -> "Mode":
        """From the mask of accepted features."""

        def has(feature: Feature) -> bool:
            return bool(features >> feature & 1)

        gso = [Gso.TCPV4] if has(Feature.NET_HOST_TSO4) else []
        gso += [Gso.TCPV6] if has(Feature.NET_HOST_TSO6) else []
        rx_flags = int(HdrFlag.NEEDS_CSUM | HdrFlag.DATA_VALID) if has(Feature.NET_GUEST_CSUM) else 0
        return cls(
            header_bytes(has(Feature.NET_HASH_REPORT)),
            rx_flags,
            has(Feature.NET_MRG_RXBUF),
            has(Feature.NOTIFICATION_DATA),
            has(Feature.NET_CSUM),
            frozenset(gso),
            has(Feature.NET_HOST_ECN),
        )

    def check(self, offload: TxOffload) -> None:
        """UsageError if this request needs a feature that was not negotiated."""
        if not self.tx_csum:
            raise UsageError("a checksum request, but NET_CSUM was not negotiated (NicConfig.tx_csum)")
        if offload.gso is not Gso.NONE and offload.gso not in self.gso:
            raise UsageError(f"segmentation of {offload.gso.name} was not negotiated (NicConfig.tso4, tso6)")
        if offload.ecn and not self.gso_ecn:
            raise UsageError("segmentation with ECN, but HOST_ECN was not negotiated (NicConfig.tso_ecn)")


PLAIN = Mode()
