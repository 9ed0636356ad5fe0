// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_check - may a frame leave, and what is to be done with it: offload request and guard
// Guarantees: one verdict a frame, in order, held until m_ready. A frame a cycle without the guard, with it as many as
//   the tables look up. From the beat that ends a frame, or its first 128 bytes, to m_valid: 8 cycles without a
//   look-up, 12 with one that does not wait (a tables' latency of 4).
// Clock/reset: clk; rst synchronous, active high, forgets everything.
// Contract: g_* as tupelo_tx_gather gives it, no back-pressure; g_hdr and g_vq count with g_first. At most 64
//   frames from g_first to the taking of their verdict. lk_result_* come in the order of the look-ups.
// How: only frames of guarded pairs and frames to be segmented are looked into. Their first bytes are put together,
//   parsed (tupelo_parse), judged by the request's rules here and the guard's in tupelo_tx_guard.
// Spec: VIRTIO 1.2 sections 5.1.6, 5.1.6.2 (flags that are not known are ignored); docs/steering.md.
`default_nettype none
module tupelo_tx_check
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter  integer QUEUES = 16,  // virtqueues, 2..128
    parameter  integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer StrbW  = DATA_W / 8,
    localparam integer BytesW = $clog2(StrbW) + 1
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire  [        47:0] mac_i,
    input  wire  [QUEUES/2-1:0] guard_i,  // of each pair
    input  wire                 feat_csum_i,
    input  wire                 feat_tso4_i,
    input  wire                 feat_tso6_i,
    input  wire                 feat_ecn_i,
    input  wire                 g_valid,
    input  wire  [  DATA_W-1:0] g_data,
    input  wire  [  BytesW-1:0] g_bytes,
    input  wire                 g_first,
    input  wire                 g_last,
    input  wire vnet_hdr_t      g_hdr,
    input  wire vq_t            g_vq,
    output wire                 lk_valid,
    input  wire                 lk_ready,
    output wire tuple_t         lk_tuple,
    input  wire                 lk_result_valid_i,
    input  wire lookup_t        lk_result_i,
    output wire                 m_valid,
    input  wire                 m_ready,
    output wire tx_verdict_t    m_verdict
);
  localparam integer Beats = WindowBytes / StrbW;  // that fill the window
  localparam integer BeatW = $clog2(Beats) + 1;
  localparam integer PairW = QUEUES > 2 ? $clog2(QUEUES / 2) : 1;
  localparam integer ParseLatency = 5;

  typedef struct packed {
    vnet_hdr_t hdr;
    vq_t       vq;
    logic      guarded;  // since its first beat
    logic      runt;  // too short to be a frame
  } note_t;

  // ---- the first 128 bytes
  logic [BeatW-1:0] beat_q;  // beats of the frame so far, Beats: no more are wanted
  logic [8*WindowBytes-1:0] window_q;
  logic [7:0] bytes_q;
  logic open_q, fire_q, look_q;
  note_t first_q, note_q;

  wire [BeatW-1:0] beat = g_first ? '0 : beat_q;
  wire wanted = g_valid && beat != BeatW'(Beats);
  wire fire = wanted && (g_last || beat == BeatW'(Beats - 1));
  wire [7:0] bytes = 8'(beat) * 8'(StrbW) + 8'(g_bytes);
  wire [PairW-1:0] pair = PairW'(g_vq >> 1);
  wire guarded = pair != '0 && guard_i[pair];  // pair 0 is the host's
  wire note_t first = '{hdr: g_hdr, vq: g_vq, guarded: guarded, runt: 1'b0};
  wire note_t here = g_first ? first : first_q;
  wire look = here.guarded || here.hdr.gso_type != GsoNone;

  always_ff @(posedge clk) begin
    fire_q <= fire && !rst;
    if (g_valid && g_first) first_q <= first;
    if (g_valid) beat_q <= g_last ? '0 : wanted ? beat + 1'b1 : beat_q;
    if (wanted && look)
      for (int unsigned b = 0; b < Beats; b++) if (beat == BeatW'(b)) window_q[DATA_W*b+:DATA_W] <= g_data;
    if (fire) begin
      look_q  <= look;
      open_q  <= !g_last;
      bytes_q <= bytes < 8'(FrameMinBytes) ? 8'(FrameMinBytes) : bytes;
      note_q  <= here;
      note_q.runt <= bytes < 8'(FrameMinBytes);
    end
    if (rst) beat_q <= '0;
  end

  // ---- what it says; what goes along takes as long
  wire parsed_valid, parse_note, csum_valid, csum_ok, csum_bad;
  parsed_t parsed;
  logic [ParseLatency-1:0] valid_q;
  note_t [ParseLatency-1:0] notes_q;

  tupelo_parse #(
      .NOTE_W(1),
      .CSUM  (1'b0)
  ) u_parse (
      .clk         (clk),
      .rst         (rst),
      .s_valid     (fire_q && look_q),
      .s_window    (window_q),
      .s_bytes     ({6'd0, bytes_q}),
      .s_open      (open_q),
      .s_sum       (16'd0),
      .s_sum_valid (1'b0),
      .s_note      (1'b0),
      .m_valid     (parsed_valid),
      .m_parsed    (parsed),
      .m_note      (parse_note),
      .m_csum_valid(csum_valid),
      .m_csum_ok   (csum_ok),
      .m_csum_bad  (csum_bad)
  );

  always_ff @(posedge clk) begin
    valid_q <= rst ? '0 : {valid_q[ParseLatency-2:0], fire_q};
    notes_q <= {notes_q[ParseLatency-2:0], note_q};
  end

  // ---- the offload request
  // verilator lint_off UNUSEDSIGNAL  // takes the whole structs, looks at a part
  function automatic logic can_cut(input parsed_t from, input vnet_hdr_t hdr, input logic tso4, input logic tso6,
                                   input logic ecn);
    can_cut = from.ipv6 ? tso6 && hdr.gso_type[6:0] == GsoTcp6[6:0] : tso4 && hdr.gso_type[6:0] == GsoTcp4[6:0];
    can_cut &= hdr.flags[HdrNeedsCsum] && (ecn || !hdr.gso_type[GsoEcnBit]);
    can_cut &= from.ip && from.tcp && !from.fragment && !from.malformed;
    can_cut &= hdr.csum_start == {8'd0, from.l4_offset} && hdr.csum_offset == 16'd16;
    can_cut &= from.payload_offset <= 8'(WindowBytes) && hdr.gso_size != '0;
    can_cut &= {1'b0, hdr.gso_size} + {9'd0, from.payload_offset} <= 17'(FrameMaxBytes);
  endfunction

  function automatic tx_verdict_t request(input parsed_t from, input note_t note, input logic csum, input logic tso4,
                                          input logic tso6, input logic ecn);
    logic needs;
    needs = note.hdr.flags[HdrNeedsCsum];
    request = '0;
    request.vq = note.vq;
    request.csum_start = note.hdr.csum_start;
    request.csum_offset = note.hdr.csum_offset;
    if (note.hdr.gso_type == GsoNone) begin
      request.csum = needs;
      request.drop = needs && !csum;
    end else begin
      request.tso = 1'b1;
      request.drop = !csum || !can_cut(from, note.hdr, tso4, tso6, ecn);
      if (note.guarded && note.hdr.gso_size < 16'(GuardGsoLeast)) request.drop = 1'b1;
      request.ipv6 = from.ipv6;
      request.gso_size = note.hdr.gso_size;
      request.l3_offset = from.l3_offset;
      request.l4_offset = from.l4_offset;
      request.payload_offset = from.payload_offset;
    end
    if (note.runt) request.drop = 1'b1;
    if (request.drop) request.drop_stat = note.runt ? 6'(STAT_TX_DROP_SHORT) : 6'(STAT_TX_DROP_HEADER);
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  wire asked = valid_q[ParseLatency-1];
  tx_verdict_t asked_verdict;
  always_comb begin
    asked_verdict = '0;
    if (asked)
      asked_verdict = request(parsed, notes_q[ParseLatency-1], feat_csum_i, feat_tso4_i, feat_tso6_i, feat_ecn_i);
  end

  // ---- the guard
  wire judged, room;
  wire [6:0] level;
  tx_verdict_t judged_verdict;

  tupelo_tx_guard #(
      .QUEUES(QUEUES)
  ) u_guard (
      .clk              (clk),
      .rst              (rst),
      .mac_i            (mac_i),
      .s_valid          (asked),
      .s_guarded        (notes_q[ParseLatency-1].guarded),
      .s_parsed         (parsed),
      .s_verdict        (asked_verdict),
      .lk_valid         (lk_valid),
      .lk_ready         (lk_ready),
      .lk_tuple         (lk_tuple),
      .lk_result_valid_i(lk_result_valid_i),
      .lk_result_i      (lk_result_i),
      .m_valid          (judged),
      .m_verdict        (judged_verdict)
  );

  tupelo_fifo #(
      .WIDTH($bits(tx_verdict_t)),
      .DEPTH(64)
  ) u_verdicts (
      .clk    (clk),
      .rst    (rst),
      .s_data (judged_verdict),
      .s_valid(judged),
      .s_ready(room),
      .m_data (m_verdict),
      .m_valid(m_valid),
      .m_ready(m_ready),
      .level_o(level)
  );

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && judged && !room) $fatal(1, "%m lost: more than 64 frames wait at %0t", $time);
    if (!rst && parsed_valid && !asked) $fatal(1, "%m parse: an answer in no frame's cycle at %0t", $time);
  end
`endif
  wire unused = &{1'b0, parsed_valid, parse_note, csum_valid, csum_ok, csum_bad, room, level};
endmodule
`default_nettype wire
