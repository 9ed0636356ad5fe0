// SPDX-License-Identifier: Apache-2.0
// tupelo_pkg - types and ring arithmetic shared by the datapath
// VIRTIO 1.2 section 2.8 (packed virtqueues) and 5.1 (network device).
`default_nettype none
package tupelo_pkg;

  // Sizes fixed by the specification or by the AXI interface.
  localparam integer HdrBytes = 12;  // struct virtio_net_hdr with num_buffers, VIRTIO 1.2 section 5.1.6
  localparam integer HashHdrBytes = 20;  // struct virtio_net_hdr_v1_hash, with VIRTIO_NET_F_HASH_REPORT
  localparam integer FrameMinBytes = 14;  // an Ethernet header, without FCS
  localparam integer FrameMaxBytes = 9728;  // without FCS
  localparam integer GsoMaxBytes = 65550;  // headers of a frame that is to be segmented and 64 KiB
  localparam integer BurstBytes = 256;  // no AXI burst crosses a multiple of this, so none crosses 4 KiB
  localparam integer DescBytes = 16;

  // Descriptor flag bits, VIRTIO 1.2 section 2.8.1 and 2.8.6.
  localparam integer DescNext = 0;
  localparam integer DescWrite = 1;
  localparam integer DescIndirect = 2;
  localparam integer DescAvail = 7;
  localparam integer DescUsed = 15;

  // Values of the flags field of an event suppression structure, VIRTIO 1.2 section 2.8.10.
  localparam logic [1:0] EventEnable = 2'd0;
  localparam logic [1:0] EventDisable = 2'd1;
  localparam logic [1:0] EventDesc = 2'd2;

  // Read IDs: 0..127 are data slots, the top half is the control readers'.
  localparam logic [7:0] ReadIdDesc = 8'h80;
  localparam logic [7:0] ReadIdEvent = 8'h81;
  // Write IDs: the virtqueue for data and used descriptors, with the top bit set for its event structure.
  localparam logic [7:0] WriteIdEvent = 8'h80;

  typedef logic [6:0] vq_t;  // virtqueue index, up to 2 * 64

  // A place in a ring: slot index and wrap counter, laid out as the specification's off_wrap.
  typedef struct packed {
    logic        wrap;
    logic [14:0] idx;
  } ring_pos_t;

  localparam ring_pos_t RingStart = '{wrap: 1'b1, idx: 15'd0};

  typedef struct packed {
    logic [15:0] flags;
    logic [15:0] id;
    logic [31:0] len;
    logic [63:0] addr;
  } desc_t;

  typedef struct packed {
    logic [15:0] size;
    logic [15:0] vector;
    logic [63:0] desc;
    logic [63:0] driver;
    logic [63:0] device;
  } queue_cfg_t;

  // A chain that the device has finished with.
  typedef struct packed {
    vq_t         vq;
    logic [15:0] id;  // buffer ID of the chain
    logic [15:0] chain_descs;  // descriptors in the chain
    logic [31:0] len_bytes;  // bytes written, 0 for a transmit chain
  } completion_t;

  typedef struct packed {
    logic        valid;
    vq_t         vq;
    tupelo_regs_pkg::stop_reason_e reason;
    ring_pos_t   pos;  // of the descriptor at fault, 0 where there is none
    logic [63:0] addr;
  } queue_error_t;

  // ---- what a frame is about
  localparam integer WindowBytes = 128;  // of a frame's start that the parser sees

  // Whose frame: `local` is this NIC's side, in both directions. Ports are 0 for what is neither TCP nor UDP.
  typedef struct packed {
    logic         ipv6;
    logic [7:0]   proto;
    logic [127:0] local_addr;  // first octet on the wire in the top byte; IPv4 in [31:0]
    logic [127:0] remote_addr;
    logic [15:0]  local_port;
    logic [15:0]  remote_port;
  } tuple_t;

  // What the headers say. Offsets count bytes from the frame's start; they hold only where their flag does.
  typedef struct packed {
    logic [47:0]  dst_mac;  // first octet on the wire in the low byte, as mac_addr_i
    logic [47:0]  src_mac;
    logic [1:0]   vlans;  // 802.1Q tags
    logic         ip;  // an IPv4 or IPv6 header, whole and sane
    logic         ipv6;
    logic         options;  // IPv4 options, IPv6 extension headers but for one Fragment header behind the base header
    logic         fragment;  // one of several fragments
    logic         later;  // ... and not the first of them
    logic         more;  // more fragments follow
    logic         malformed;  // a header is truncated or says what cannot be
    logic         tcp;  // a whole TCP header, first fragment or none
    logic         udp;
    logic         icmp;  // ICMP or ICMPv6
    logic [7:0]   proto;  // behind the extension headers
    logic [127:0] src;  // as tuple_t's addresses
    logic [127:0] dst;
    logic [15:0]  sport;  // 0 unless tcp or udp
    logic [15:0]  dport;
    logic [6:0]   l3_offset;
    logic [7:0]   l4_offset;
    logic [7:0]   payload_offset;  // behind the TCP or UDP header
    logic [15:0]  l3_bytes;  // the IP packet's length as its header says
    logic [31:0]  fragment_id;
    logic [12:0]  fragment_offset;  // in units of 8 bytes
    logic [8:0]   tcp_flags;  // NS CWR ECE URG ACK PSH RST SYN FIN
    logic         ip_csum_ok;  // IPv4 header checksum, 1 for IPv6
    logic         l4_csum_ok;  // receive: TCP or UDP checksum verified
    logic         l4_csum_bad;  // receive: verified and wrong; neither: not verified
  } parsed_t;

  // ---- tables
  localparam integer LookupLatency = 4;  // cycles from a tuple to its lookup_t

  typedef enum logic [1:0] {
    MATCH_NONE     = 2'd0,
    MATCH_FLOW     = 2'd1,
    MATCH_LISTENER = 2'd2,  // on the frame's own local address
    MATCH_ANY      = 2'd3   // on any address
  } match_e;

  typedef enum logic [1:0] {
    TARGET_QUEUE = 2'd0,
    TARGET_HOST  = 2'd1,
    TARGET_DROP  = 2'd2
  } target_e;

  typedef struct packed {
    match_e      match;
    target_e     target;
    logic [5:0]  pair;
    logic [15:0] id;
    logic [15:0] generation;
    logic        local_ok;  // the local address is one of the interface's
  } lookup_t;

  // ---- receive: a frame on its way to its queue
  typedef struct packed {
    logic [13:0] bytes;
    vq_t         vq;
    logic        drop;  // a table says DROP
    logic        csum_ok;
    logic [31:0] hash;
    logic [7:0]  hash_report;  // VIRTIO 1.2 section 5.1.6.4.4
  } rx_frame_t;

  // Pulses for the counters, one frame each.
  typedef struct packed {
    logic malformed;
    logic fragment;
    logic flow;
    logic listener;
    logic any;
    logic rss;
    logic host;
    logic csum_ok;
    logic csum_bad;
  } rx_class_stat_t;

  // ---- transmit
  // struct virtio_net_hdr as it lies in memory, VIRTIO 1.2 section 5.1.6; num_buffers is not of interest.
  localparam integer HdrNeedsCsum = 0;  // bits of flags
  localparam logic [7:0] GsoNone = 8'd0;
  localparam logic [7:0] GsoTcp4 = 8'd1;
  localparam logic [7:0] GsoTcp6 = 8'd4;
  localparam integer GsoEcnBit = 7;
  // A chain that is being cut holds up all others: with segments of this size 64 KiB take the wire for at most 1,300
  // beats of 64 bytes, with segments of one byte for 65,000 and more. The scheduler charges what goes out, but only
  // afterwards, so a guarded pair may not make its segments smaller. Paths of 552 bytes have this MSS.
  localparam integer GuardGsoLeast = 512;
  typedef struct packed {
    logic [15:0] csum_offset;
    logic [15:0] csum_start;
    logic [15:0] gso_size;
    logic [15:0] hdr_len;
    logic [7:0]  gso_type;
    logic [7:0]  flags;
  } vnet_hdr_t;

  // What tupelo_tx_check decided about a frame.
  typedef struct packed {
    vq_t         vq;
    logic        drop;
    logic [5:0]  drop_stat;  // index of the drop's counter
    logic        csum;  // sum from csum_start on, to csum_start + csum_offset
    logic [15:0] csum_start;
    logic [15:0] csum_offset;
    logic        tso;
    logic        ipv6;
    logic [15:0] gso_size;
    logic [6:0]  l3_offset;
    logic [7:0]  l4_offset;
    logic [7:0]  payload_offset;
  } tx_verdict_t;

  // A checksum to be written into a frame on its way out.
  typedef struct packed {
    logic        insert;
    logic [13:0] pos;  // of its first byte in the frame
    logic [15:0] value;  // first octet on the wire in the top byte
  } egress_note_t;

  // What became of a chain.
  typedef struct packed {
    vq_t         vq;
    logic        sent;  // all of its frames have been handed on
    logic [5:0]  drop_stat;  // if not
    logic [15:0] frames;  // that left, also of a chain that was dropped in the middle
    logic [23:0] bytes;  // of those frames
    logic [23:0] repeated;  // of these, headers of segments behind the first: bytes that memory holds once
    logic        csum;
    logic        tso;
  } tx_fate_t;

  // Is this the address of a group, or the limited broadcast address (RFC 1112 section 4, RFC 919 section 7,
  // RFC 4291 section 2.7)?
  // verilator lint_off UNUSEDSIGNAL  // takes the whole address, looks at a part
  function automatic logic is_group(input logic ipv6, input logic [127:0] addr);
    is_group = ipv6 ? addr[127:120] == 8'hFF : addr[31:28] == 4'hE || addr[31:0] == 32'hFFFF_FFFF;
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  // Position n_descs (0..size) further on in a ring of size slots, which need not be a power of two.
  function automatic ring_pos_t ring_advance(input ring_pos_t pos, input logic [15:0] n_descs, input logic [15:0] size);
    logic [16:0] sum;
    sum = {2'b00, pos.idx} + {1'b0, n_descs};
    if (sum >= {1'b0, size}) begin
      sum = sum - {1'b0, size};
      ring_advance = '{wrap: !pos.wrap, idx: sum[14:0]};
    end else begin
      ring_advance = '{wrap: pos.wrap, idx: sum[14:0]};
    end
  endfunction

  // Slots from position a forward to position b, 0..size (equal index with other wrap is a full turn).
  function automatic logic [15:0] ring_distance(input ring_pos_t a, input ring_pos_t b, input logic [15:0] size);
    if (a.wrap == b.wrap) ring_distance = {1'b0, b.idx} - {1'b0, a.idx};
    else ring_distance = {1'b0, b.idx} + size - {1'b0, a.idx};
  endfunction

  // An available descriptor at pos has AVAIL equal to the wrap counter and USED not, VIRTIO 1.2 section 2.8.1.
  function automatic logic desc_is_avail(input logic [15:0] flags, input logic wrap);
    desc_is_avail = flags[DescAvail] == wrap && flags[DescUsed] != wrap;
  endfunction

endpackage
`default_nettype wire
