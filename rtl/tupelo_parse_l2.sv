// SPDX-License-Identifier: Apache-2.0
// tupelo_parse_l2 - first stage of tupelo_parse: Ethernet addresses, tags, and the packet moved to the window's start
// Guarantees: one frame a cycle, latency 1. m_packet begins with the byte behind the type field.
// Clock/reset: clk; rst synchronous, active high, clears m_valid.
// Contract: as tupelo_parse.
// Spec: IEEE 802.3 section 3.2 (a type below 0x0600 is a length), IEEE 802.1Q section 9 (tags). A third tag is not
//   looked behind.
`default_nettype none
module tupelo_parse_l2
  import tupelo_pkg::*;
  import tupelo_parse_pkg::*;
#(
    parameter bit CSUM = 1'b1  // take sums along for the L4 checksum
) (
    input  wire                              clk,
    input  wire                              rst,
    input  wire                              s_valid,
    input  wire         [ 8*WindowBytes-1:0] s_window,
    input  wire         [              13:0] s_bytes,
    input  wire                              s_open,
    input  wire         [              15:0] s_sum,
    input  wire                              s_sum_valid,
    output logic                             m_valid,
    output logic        [8*PacketWindow-1:0] m_packet,
    output parse_step_t                      m_step,
    output logic                             m_open,
    output logic                             m_ipv4,       // the type says so
    output logic                             m_ipv6,
    output logic        [              19:0] m_l2_sum      // of the bytes in front of the packet
);
  function automatic logic is_tag(input logic [15:0] raw);
    is_tag = be16(raw) == TpidCustomer || be16(raw) == TpidService;
  endfunction

  // Tags that are there, 3 for three or more; a tag counts if its TPID is in the frame.
  function automatic logic [1:0] tags(input logic [2:0][15:0] types, input logic [13:0] bytes);
    if (!is_tag(types[0])) tags = 2'd0;
    else if (bytes < 14'd18 || !is_tag(types[1])) tags = 2'd1;
    else if (bytes < 14'd22 || !is_tag(types[2])) tags = 2'd2;
    else tags = 2'd3;
  endfunction

  function automatic logic [19:0] header_sum(input logic [175:0] head, input logic [1:0] vlans);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    header_sum = '0;
    for (int unsigned w = 0; w < 11; w++)
    if (w < 7 || w < 32'd7 + 2 * 32'(vlans)) header_sum += {4'd0, be16(head[16*w+:16])};
  endfunction

  function automatic parse_step_t start(input logic [95:0] head, input logic [1:0] vlans, input logic [13:0] bytes,
                                        input logic open, input logic check, input logic [15:0] sum);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    logic [13:0] skip;
    logic [ 7:0] window;
    start = '0;
    skip = 14'd14 + {10'd0, vlans, 2'd0};
    window = |bytes[13:7] ? 8'(WindowBytes) : bytes[7:0];
    start.parsed.dst_mac = head[47:0];
    start.parsed.src_mac = head[95:48];
    start.parsed.vlans = vlans;
    start.parsed.l3_offset = skip[6:0];
    start.parsed.malformed = bytes < skip && !open;
    start.walk.seen = window < skip[7:0] ? '0 : 7'(window - skip[7:0]);
    start.walk.rest = bytes < skip ? '0 : bytes - skip;
    start.walk.check = check;
    start.walk.total = sum;
  endfunction

  wire [1:0] vlans = s_valid ? tags({s_window[160+:16], s_window[128+:16], s_window[96+:16]}, s_bytes) : 2'd0;
  wire whole = s_bytes >= 14'd14 + {10'd0, vlans, 2'd0};
  wire [15:0] ether_type = be16(
      vlans == 2'd0 ? s_window[96+:16] : vlans == 2'd1 ? s_window[128+:16] : s_window[160+:16]
  );

  always_ff @(posedge clk) begin
    m_valid <= s_valid && !rst;
    if (s_valid) begin
      m_packet <= vlans == 2'd0 ? s_window[112+:8*PacketWindow] :
          vlans == 2'd1 ? (8 * PacketWindow)'(s_window[1023:144]) : (8 * PacketWindow)'(s_window[1023:176]);
      m_step <= start(s_window[95:0], vlans, s_bytes, s_open, CSUM && s_sum_valid, CSUM ? s_sum : 16'd0);
      m_open <= s_open;
      m_ipv4 <= whole && vlans != 2'd3 && ether_type == EtherIpv4;
      m_ipv6 <= whole && vlans != 2'd3 && ether_type == EtherIpv6;
      m_l2_sum <= CSUM ? header_sum(s_window[175:0], vlans) : '0;
    end
  end
endmodule
`default_nettype wire
