// SPDX-License-Identifier: Apache-2.0
// tupelo_parse_l3 - second stage of tupelo_parse: the IPv4 or IPv6 base header
// Guarantees: one frame a cycle, latency 1; m_head_sum is the IPv4 header's sum, to be folded by the next stage.
// Clock/reset: clk; rst synchronous, active high, clears m_valid.
// Contract: as tupelo_parse_l2's outputs.
// Spec: RFC 791 section 3.1, RFC 8200 section 3, RFC 2675 (a jumbogram is no error, but nothing here knows it).
`default_nettype none
module tupelo_parse_l3
  import tupelo_pkg::*;
  import tupelo_parse_pkg::*;
#(
    parameter bit CSUM = 1'b1
) (
    input  wire                                   clk,
    input  wire                                   rst,
    input  wire                                   s_valid,
    input  wire              [8*PacketWindow-1:0] s_packet,
    input  wire parse_step_t                      s_step,
    input  wire                                   s_open,
    input  wire                                   s_ipv4,
    input  wire                                   s_ipv6,
    input  wire              [              19:0] s_l2_sum,
    output logic                                  m_valid,
    output logic             [   8*TailBytes-1:0] m_tail,     // the packet from byte TailSkip on
    output parse_step_t                           m_step,
    output logic             [              21:0] m_head_sum
);
  localparam integer Ipv4Words = 30;  // 16-bit words of the longest header

  // verilator lint_off UNUSEDSIGNAL  // takes the whole header, looks at a part
  function automatic parse_step_t ipv4(input logic [159:0] head, input parse_step_t at, input logic open);
    logic [15:0] total, flags;
    logic [5:0] len;
    logic lies;
    ipv4 = at;
    total = be16(head[16+:16]);
    flags = be16(head[48+:16]);
    len = {head[3:0], 2'b00};
    lies = head[7:4] != 4'd4 || head[3:0] < 4'd5 || total < {10'd0, len} || (!open && total > {2'b00, at.walk.rest});
    ipv4.parsed.malformed = at.walk.rest < 14'd20 ? !open : lies;
    if (at.walk.rest >= 14'd20 && !lies && {1'b0, len} <= at.walk.seen) begin
      ipv4.parsed.ip = 1'b1;
      ipv4.parsed.options = head[3:0] != 4'd5;
      ipv4.parsed.fragment = flags[13] || flags[12:0] != '0;
      ipv4.parsed.later = flags[12:0] != '0;
      ipv4.parsed.more = flags[13];
      ipv4.parsed.proto = head[72+:8];
      ipv4.parsed.src = {96'd0, be32(head[96+:32])};
      ipv4.parsed.dst = {96'd0, be32(head[128+:32])};
      ipv4.parsed.l3_bytes = total;
      ipv4.parsed.fragment_id = {16'd0, be16(head[32+:16])};
      ipv4.parsed.fragment_offset = flags[12:0];
      ipv4.walk.off = {1'b0, head[3:0]};
      ipv4.walk.stop = flags[12:0] != '0;
    end
  endfunction

  function automatic parse_step_t ipv6(input logic [319:0] head, input parse_step_t at, input logic open);
    logic [16:0] total;
    logic lies, jumbo;
    ipv6 = at;
    total = {1'b0, be16(head[32+:16])} + 17'd40;
    jumbo = head[32+:16] == '0 && head[48+:8] == ProtoHopByHop;
    lies = head[7:4] != 4'd6 || (!open && total > {3'b000, at.walk.rest});
    ipv6.parsed.malformed = at.walk.rest < 14'd40 ? !open : lies;
    if (at.walk.rest >= 14'd40 && !lies && !jumbo && at.walk.seen >= 7'd40) begin
      ipv6.parsed.ip = 1'b1;
      ipv6.parsed.ipv6 = 1'b1;
      ipv6.parsed.ip_csum_ok = 1'b1;
      ipv6.parsed.proto = head[48+:8];
      ipv6.parsed.src = be128(head[64+:128]);
      ipv6.parsed.dst = be128(head[192+:128]);
      ipv6.parsed.l3_bytes = total[16] ? 16'hFFFF : total[15:0];
      ipv6.walk.off = 5'd10;
    end
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  // The frame's sum less the link header. The addresses belong to the pseudo header: an IPv6 header's other half is
  // taken out; an IPv4 header is 0 as a whole if its checksum is right, so its addresses are added.
  function automatic logic [15:0] l4_sum(input logic [159:0] head, input logic is_ipv6, input logic [19:0] l2_sum,
                                         input logic [15:0] frame_sum);
    logic [23:0] sum;
    sum = {8'd0, frame_sum} + {8'd0, ~fold({4'd0, l2_sum})};
    for (int unsigned w = 0; w < 4; w++) sum += {8'd0, is_ipv6 ? ~be16(head[16*w+:16]) : be16(head[96+16*w+:16])};
    l4_sum = fold(sum);
  endfunction

  function automatic parse_step_t base_header(input logic [319:0] head, input parse_step_t at, input logic open,
                                              input logic is_ipv4, input logic is_ipv6, input logic [19:0] l2_sum);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    if (is_ipv4) base_header = ipv4(head[159:0], at, open);
    else if (is_ipv6) base_header = ipv6(head, at, open);
    else base_header = at;
    base_header.walk.stop |= !base_header.parsed.ip;
    if (CSUM) base_header.walk.total = l4_sum(head[159:0], is_ipv6, l2_sum, at.walk.total);
  endfunction

  function automatic logic [21:0] head_sum(input logic [16*Ipv4Words-1:0] head, input logic [3:0] ihl);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    head_sum = '0;
    for (int unsigned w = 0; w < Ipv4Words; w++)
    if (w < 10 || w < 2 * 32'(ihl)) head_sum += {6'd0, be16(head[16*w+:16])};
  endfunction

  always_ff @(posedge clk) begin
    m_valid <= s_valid && !rst;
    if (s_valid) begin
      m_tail <= (8 * TailBytes)'(s_packet[8*PacketWindow-1:8*TailSkip]);
      m_step <= base_header(s_packet[319:0], s_step, s_open, s_ipv4, s_ipv6, s_l2_sum);
      if (s_ipv4) m_head_sum <= head_sum(s_packet[16*Ipv4Words-1:0], s_packet[3:0]);
    end
  end
endmodule
`default_nettype wire
