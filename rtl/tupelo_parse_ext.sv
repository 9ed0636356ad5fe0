// SPDX-License-Identifier: Apache-2.0
// tupelo_parse_ext - stage of tupelo_parse: walks over up to two IPv6 extension headers
// Guarantees: one frame a cycle, latency 1; anything else than IPv6 passes unchanged, but for the verdict on an IPv4
//   header's checksum, which the first of two such stages gives.
// Clock/reset: clk; rst synchronous, active high, clears m_valid.
// Contract: as tupelo_parse_l3's outputs.
// Spec: RFC 8200 section 4, RFC 4302 section 2 (Authentication Header, counted in 4 bytes), RFC 6946 (a Fragment
//   header of a packet that is whole makes no fragment). A Routing header with Segments Left ends the walk: the
//   packet has not arrived, and its checksum is about another address.
// Limits: a header that begins beyond the window is not looked at and not judged.
`default_nettype none
module tupelo_parse_ext
  import tupelo_pkg::*;
  import tupelo_parse_pkg::*;
#(
    parameter bit FIRST = 1'b1  // of the two: folds s_head_sum
) (
    input  wire                                clk,
    input  wire                                rst,
    input  wire                                s_valid,
    input  wire              [8*TailBytes-1:0] s_tail,
    input  wire parse_step_t                   s_step,
    input  wire              [           21:0] s_head_sum,
    output logic                               m_valid,
    output logic             [8*TailBytes-1:0] m_tail,
    output parse_step_t                        m_step
);
  localparam logic [4:0] BaseWords = 5'd10;  // of the IPv6 base header

  // Where a header of type proto ends, in units of 4 bytes from its start; 0 if it says what cannot be.
  function automatic logic [9:0] ext_words(input logic [7:0] proto, input logic [7:0] len);
    case (proto)
      ProtoFragment: ext_words = 10'd2;
      ProtoAuth: ext_words = len == 8'd0 ? 10'd0 : {2'd0, len} + 10'd2;
      default: ext_words = {1'b0, len, 1'b0} + 10'd2;
    endcase
  endfunction

  function automatic parse_step_t over_one(input parse_step_t at, input logic [63:0] head);
    logic [ 9:0] len;
    logic [11:0] stop_bytes;
    logic [ 6:0] ahead;
    logic [12:0] offset;
    over_one = at;
    ahead = {at.walk.off, 2'b00} + 7'd8;
    len = ext_words(at.parsed.proto, head[15:8]);
    stop_bytes = {5'd0, at.walk.off, 2'b00} + {len, 2'b00};
    offset = {head[23:16], head[31:27]};
    over_one.parsed.options |= at.parsed.proto != ProtoFragment || at.walk.off != BaseWords;
    if ({9'd0, ahead} > at.parsed.l3_bytes) begin
      over_one.parsed.malformed = 1'b1;
      over_one.walk.stop = 1'b1;
    end else if (ahead > at.walk.seen) over_one.walk.stop = 1'b1;
    else if (len == '0 || {4'd0, stop_bytes} > at.parsed.l3_bytes) begin
      over_one.parsed.malformed = 1'b1;
      over_one.walk.stop = 1'b1;
    end else if (at.parsed.proto == ProtoRouting && head[31:24] != '0) over_one.walk.stop = 1'b1;
    else begin
      if (at.parsed.proto == ProtoFragment && (offset != '0 || head[24])) begin
        over_one.parsed.fragment = 1'b1;
        over_one.parsed.later = offset != '0;
        over_one.parsed.more = head[24];
        over_one.parsed.fragment_offset = offset;
        over_one.parsed.fragment_id = be32(head[63:32]);
        over_one.walk.stop = offset != '0;
      end
      over_one.parsed.proto = head[7:0];
      if (stop_bytes > {5'd0, at.walk.seen}) over_one.walk.stop = 1'b1;
      else over_one.walk.off = stop_bytes[6:2];
    end
  endfunction

  function automatic parse_step_t over_two(input parse_step_t from, input logic [8*TailBytes-1:0] tail);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    logic [4:0] word;
    over_two = from;
    for (int unsigned n = 0; n < 2; n++)
    if (!over_two.walk.stop && is_extension(over_two.parsed.proto)) begin
      word = over_two.walk.off - 5'(TailSkip / 4);
      over_two = over_one(over_two, word < 5'(TailWords - 1) ? tail[32*word+:64] : 64'd0);
    end
  endfunction

  function automatic parse_step_t ipv4_verdict(input parse_step_t from, input logic [21:0] sum);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    ipv4_verdict = from;
    if (FIRST) ipv4_verdict.parsed.ip_csum_ok = from.parsed.ip && fold({2'b00, sum}) == 16'hFFFF;
  endfunction

  always_ff @(posedge clk) begin
    m_valid <= s_valid && !rst;
    if (s_valid) begin
      m_tail <= s_tail;
      if (!s_step.parsed.ipv6) m_step <= ipv4_verdict(s_step, s_head_sum);
      else m_step <= over_two(s_step, s_tail);
    end
  end
endmodule
`default_nettype wire
