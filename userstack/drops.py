# SPDX-License-Identifier: Apache-2.0
"""Why a received frame was not used. Peer input never raises out of the stack: it ends here, counted."""

import enum


class Drop(enum.IntEnum):
    """One reason a dropped frame; every frame is either accepted or counted under exactly one of these."""

    ETH_SHORT = enum.auto()  # fewer than 14 bytes, or a VLAN tag cut off
    ETH_NOT_OURS = enum.auto()  # unicast to another MAC address
    ETH_MULTICAST = enum.auto()  # a group that nobody here joined
    ETH_BAD_SOURCE = enum.auto()  # source address has the group bit set
    ETH_VLAN = enum.auto()  # tagged for a VLAN other than 0 (priority tag)
    ETH_TYPE = enum.auto()  # EtherType that is not spoken here
    ARP_MALFORMED = enum.auto()
    ARP_NOT_OURS = enum.auto()  # asks for another host's address
    ARP_CONFLICT = enum.auto()  # another MAC claims our address (RFC 5227)
    IP_SHORT = enum.auto()  # header or total length beyond the frame
    IP_VERSION = enum.auto()
    IP_HEADER = enum.auto()  # IHL below 5, total length below the header's
    IP_CHECKSUM = enum.auto()
    IP_BAD_SOURCE = enum.auto()  # broadcast, multicast, loopback or our own address as source
    IP_NO_RETURN = enum.auto()  # no route back to the source: nothing could be answered
    IP_NOT_OURS = enum.auto()  # destination is another host: we do not forward
    IP_FRAGMENT = enum.auto()  # reassembly is not offered
    IP_SOURCE_ROUTE = enum.auto()  # LSRR/SSRR that does not end here, or a malformed option
    IP_PROTOCOL = enum.auto()
    ICMP_SHORT = enum.auto()
    ICMP_CHECKSUM = enum.auto()
    ICMP_TYPE = enum.auto()  # a message that asks nothing of us
    ICMP_STRAY = enum.auto()  # an error or a reply that matches nothing we sent
    ICMP_BROADCAST = enum.auto()  # echo request to a broadcast address
    UDP_SHORT = enum.auto()
    UDP_CHECKSUM = enum.auto()
    UDP_NO_PORT = enum.auto()
    UDP_QUEUE_FULL = enum.auto()
    TCP_SHORT = enum.auto()
    TCP_OPTIONS = enum.auto()  # option list malformed
    TCP_CHECKSUM = enum.auto()
    TCP_NO_CONNECTION = enum.auto()  # answered with a reset where RFC 9293 asks for one
    TCP_BROADCAST = enum.auto()  # RFC 1122 section 4.2.3.10
    TCP_BACKLOG_FULL = enum.auto()  # SYN to a listener that has no room
    TCP_OUT_OF_WINDOW = enum.auto()
    TCP_BAD_ACK = enum.auto()
    TCP_BAD_SYN = enum.auto()  # SYN inside a synchronized connection (challenged, RFC 5961)
    TCP_BAD_RST = enum.auto()  # reset that does not hit RCV.NXT exactly (RFC 5961)
    TCP_PAWS = enum.auto()  # timestamp older than the last one (RFC 7323 section 5)
    TCP_NO_ACK_FLAG = enum.auto()
    TCP_REASSEMBLY_FULL = enum.auto()
