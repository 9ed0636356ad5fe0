// SPDX-License-Identifier: Apache-2.0
// tupelo_parse - what a frame's headers say, from its first 128 bytes
// Guarantees: one frame a cycle, in order, no back-pressure. m_valid with m_parsed comes 5 cycles behind s_valid,
//   m_csum_valid with the verdict on the TCP or UDP checksum 7 cycles behind; m_parsed's own l4_csum_* are 0. Whatever
//   the bytes are, there is one answer a frame; a header that is cut short by the frame or by the packet, or that
//   says what cannot be, gives `malformed`; what is merely not known gives no flag at all.
// Clock/reset: clk; rst synchronous, active high, forgets the frames inside.
// Contract: s_window holds frame byte i in [8i +: 8], anything beyond the frame; s_bytes is the frame's length, at
//   least 14, so far as it is known; s_open says that the frame goes on, then nothing is checked against its end and
//   s_bytes is at least 128. s_sum: the frame's 16-bit ones'-complement sum, if s_sum_valid.
// How: link header | IP base header | two IPv6 extension headers | two more | TCP, UDP, ICMP, a stage each. Behind the
//   base header only the bytes that the later stages look at go along, and headers are picked in units of 4 bytes.
// Limits: a fifth extension header, or one beyond the window, is a protocol like any other: ip without L4.
`default_nettype none
module tupelo_parse
  import tupelo_pkg::*;
  import tupelo_parse_pkg::*;
#(
    parameter integer NOTE_W = 1,  // bits that go along with a frame, >= 1
    parameter bit CSUM = 1'b1  // verify checksums; 0: m_csum_ok and m_csum_bad stay 0
) (
    input  wire                         clk,
    input  wire                         rst,
    input  wire                         s_valid,
    input  wire     [8*WindowBytes-1:0] s_window,
    input  wire     [             13:0] s_bytes,
    input  wire                         s_open,
    input  wire     [             15:0] s_sum,
    input  wire                         s_sum_valid,
    input  wire     [       NOTE_W-1:0] s_note,
    output wire                         m_valid,
    output parsed_t                     m_parsed,
    output wire     [       NOTE_W-1:0] m_note,
    output wire                         m_csum_valid,
    output wire                         m_csum_ok,
    output wire                         m_csum_bad
);
  localparam integer ParseLatency = 5;

  logic l2_valid, l2_open, l2_ipv4, l2_ipv6;
  logic [8*PacketWindow-1:0] l2_packet;
  logic [19:0] l2_sum;
  parse_step_t l2_step;

  tupelo_parse_l2 #(
      .CSUM(CSUM)
  ) u_l2 (
      .clk        (clk),
      .rst        (rst),
      .s_valid    (s_valid),
      .s_window   (s_window),
      .s_bytes    (s_bytes),
      .s_open     (s_open),
      .s_sum      (s_sum),
      .s_sum_valid(s_sum_valid),
      .m_valid    (l2_valid),
      .m_packet   (l2_packet),
      .m_step     (l2_step),
      .m_open     (l2_open),
      .m_ipv4     (l2_ipv4),
      .m_ipv6     (l2_ipv6),
      .m_l2_sum   (l2_sum)
  );

  logic l3_valid;
  logic [8*TailBytes-1:0] l3_tail;
  logic [21:0] l3_head_sum;
  parse_step_t l3_step;

  tupelo_parse_l3 #(
      .CSUM(CSUM)
  ) u_l3 (
      .clk       (clk),
      .rst       (rst),
      .s_valid   (l2_valid),
      .s_packet  (l2_packet),
      .s_step    (l2_step),
      .s_open    (l2_open),
      .s_ipv4    (l2_ipv4),
      .s_ipv6    (l2_ipv6),
      .s_l2_sum  (l2_sum),
      .m_valid   (l3_valid),
      .m_tail    (l3_tail),
      .m_step    (l3_step),
      .m_head_sum(l3_head_sum)
  );

  logic ext1_valid, ext2_valid;
  logic [8*TailBytes-1:0] ext1_tail, ext2_tail;
  parse_step_t ext1_step, ext2_step;

  tupelo_parse_ext #(
      .FIRST(1'b1)
  ) u_ext1 (
      .clk       (clk),
      .rst       (rst),
      .s_valid   (l3_valid),
      .s_tail    (l3_tail),
      .s_step    (l3_step),
      .s_head_sum(l3_head_sum),
      .m_valid   (ext1_valid),
      .m_tail    (ext1_tail),
      .m_step    (ext1_step)
  );

  tupelo_parse_ext #(
      .FIRST(1'b0)
  ) u_ext2 (
      .clk       (clk),
      .rst       (rst),
      .s_valid   (ext1_valid),
      .s_tail    (ext1_tail),
      .s_step    (ext1_step),
      .s_head_sum(22'd0),
      .m_valid   (ext2_valid),
      .m_tail    (ext2_tail),
      .m_step    (ext2_step)
  );

  logic [8*TailBytes-1:0] l4_tail;
  csum_job_t l4_csum;

  tupelo_parse_l4 #(
      .CSUM(CSUM)
  ) u_l4 (
      .clk     (clk),
      .rst     (rst),
      .s_valid (ext2_valid),
      .s_tail  (ext2_tail),
      .s_step  (ext2_step),
      .m_valid (m_valid),
      .m_parsed(m_parsed),
      .m_tail  (l4_tail),
      .m_csum  (l4_csum)
  );

  if (CSUM) begin : g_csum
    tupelo_l4_csum u_csum (
        .clk    (clk),
        .rst    (rst),
        .s_valid(m_valid),
        .s_job  (l4_csum),
        .s_tail (l4_tail),
        .m_valid(m_csum_valid),
        .m_ok   (m_csum_ok),
        .m_bad  (m_csum_bad)
    );
  end else begin : g_no_csum
    assign m_csum_valid = 1'b0;
    assign m_csum_ok    = 1'b0;
    assign m_csum_bad   = 1'b0;
    wire unused_csum = &{1'b0, l4_tail, l4_csum};
  end

  logic [ParseLatency-1:0][NOTE_W-1:0] note_q;
  assign m_note = note_q[ParseLatency-1];
  always_ff @(posedge clk) note_q <= {note_q[ParseLatency-2:0], s_note};
endmodule
`default_nettype wire
