// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_classify - decides which queue a received frame goes to, and what its header says about it
// Guarantees: one frame a cycle, in order, no back-pressure; m_valid comes 5 + LOOKUP_LATENCY + 1 cycles behind
//   s_valid. Steering: what is not for this interface, malformed, not IP, a fragment, ICMP or tagged asks no table; a
//   table's answer comes first, then RSS (not for a frame that is not ours, malformed, a fragment or ICMP), then the
//   host's queue pair 0, which also gets what names a pair that does not exist. stat_o has, with each m_valid, one of
//   flow, listener, any, rss and host: what decided.
// Clock/reset: clk; rst synchronous, active high, forgets the frames inside and clears the RSS registers.
// Contract: s_* as tupelo_parse's, of a whole frame; lk_result_i is the answer to the lk_valid LOOKUP_LATENCY cycles
//   ago, and lk_result_valid_i says so. mac_i has the first octet in the low byte.
// Spec: docs/registers.md, block `rss`; VIRTIO 1.2 section 5.1.6.4.3 (hash types). A listener on any address takes what
//   is sent to a local address, a multicast group or 255.255.255.255, as a host would (RFC 1122 section 3.2.1.3).
`default_nettype none
module tupelo_rx_classify
  import tupelo_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    parameter integer LOOKUP_LATENCY = 5  // cycles, 2..8
) (
    input  wire                                                 clk,
    input  wire                                                 rst,
    input  wire tupelo_axil_pkg::axil_bus_t                     bus_i,
    output wire                             [             31:0] rd_data_o,
    input  wire                             [             47:0] mac_i,
    input  wire                                                 s_valid,
    input  wire                             [8*WindowBytes-1:0] s_window,
    input  wire                             [             13:0] s_bytes,
    input  wire                             [             15:0] s_sum,
    output wire                                                 lk_valid,
    output tuple_t                                              lk_tuple,
    input  wire                                                 lk_result_valid_i,
    input  wire lookup_t                                        lk_result_i,
    output logic                                                m_valid,
    output rx_frame_t                                           m_frame,
    output rx_class_stat_t                                      stat_o
);
  localparam integer ParseWait = LOOKUP_LATENCY - 1;  // stages from m_valid of the parser's successor to the result
  localparam integer HashWait = LOOKUP_LATENCY - 2;  // the same from the hash, and from the checksum's verdict

  // What has to wait for the table's answer.
  typedef struct packed {
    logic [13:0] bytes;
    logic        malformed;
    logic        fragment;
    logic        asked;      // a table
    logic        spreads;    // RSS may have it
    logic        to_any;     // destination that a listener on any address may take, but for local addresses
  } plan_t;

  typedef struct packed {
    logic        csum_ok;
    logic        csum_bad;
    logic [7:0]  pair;
    logic [31:0] hash;
    logic [7:0]  report;
  } late_t;

  logic p_valid, csum_valid, csum_ok, csum_bad, rss_on;
  parsed_t p;
  logic [13:0] p_bytes;
  logic [31:0] hash;
  logic [7:0] hash_report, rss_pair;

  tupelo_parse #(
      .NOTE_W(14),
      .CSUM  (1'b1)
  ) u_parse (
      .clk         (clk),
      .rst         (rst),
      .s_valid     (s_valid),
      .s_window    (s_window),
      .s_bytes     (s_bytes),
      .s_open      (1'b0),
      .s_sum       (s_sum),
      .s_sum_valid (1'b1),
      .s_note      (s_bytes),
      .m_valid     (p_valid),
      .m_parsed    (p),
      .m_note      (p_bytes),
      .m_csum_valid(csum_valid),
      .m_csum_ok   (csum_ok),
      .m_csum_bad  (csum_bad)
  );

  // ---- what may be done with the frame
  // verilator lint_off UNUSEDSIGNAL  // takes the whole struct, looks at a part
  // The ports are known, or the protocol has none. An extension header that was not walked hides them.
  function automatic logic ports_known(input parsed_t f);
    ports_known = f.tcp || f.udp || !(f.proto == tupelo_parse_pkg::ProtoTcp ||
        f.proto == tupelo_parse_pkg::ProtoUdp || (f.ipv6 && tupelo_parse_pkg::is_extension(f.proto)));
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  function automatic plan_t make_plan(input parsed_t f, input logic [13:0] bytes, input logic [47:0] mac);
    logic ours;
    make_plan = '0;
    ours = f.dst_mac == mac || f.dst_mac[0];
    make_plan.bytes = bytes;
    make_plan.malformed = f.malformed;
    make_plan.fragment = f.fragment;
    make_plan.spreads = ours && f.ip && !f.malformed && !f.fragment && !f.icmp;
    make_plan.asked = make_plan.spreads && f.vlans == 2'd0 && ports_known(f);
    make_plan.to_any = is_group(f.ipv6, f.dst);
  endfunction

  plan_t plan_d;
  always_comb begin
    plan_d   = '0;
    lk_tuple = '0;
    if (p_valid) begin
      plan_d = make_plan(p, p_bytes, mac_i);
      plan_d.spreads = plan_d.spreads && rss_on;  // with the types and the key, not with the answer
      if (plan_d.asked)
        lk_tuple = '{
            ipv6: p.ipv6,
            proto: p.proto,
            local_addr: p.dst,
            remote_addr: p.src,
            local_port: p.dport,
            remote_port: p.sport
        };
    end
  end
  assign lk_valid = plan_d.asked;

  tupelo_rss u_rss (
      .clk      (clk),
      .rst      (rst),
      .bus_i    (bus_i),
      .rd_data_o(rd_data_o),
      .enable_o (rss_on),
      .s_valid  (p_valid),
      .s_hashes (p.ip && !p.malformed),
      .s_parsed (p),
      .m_hash   (hash),
      .m_report (hash_report),
      .m_pair   (rss_pair)
  );

  // ---- wait for the table's answer
  logic  [ParseWait:0] valid_q;
  plan_t [ParseWait:0] plan_q;
  late_t late_d, late;

  always_ff @(posedge clk) begin
    valid_q <= {valid_q[ParseWait-1:0], p_valid};
    plan_q  <= {plan_q[ParseWait-1:0], plan_d};
    if (rst) valid_q <= '0;
  end

  assign late_d = '{csum_ok: csum_ok, csum_bad: csum_bad, pair: rss_pair, hash: hash, report: hash_report};
  if (HashWait == 0) begin : g_now
    assign late = late_d;
  end else begin : g_wait
    late_t [HashWait-1:0] late_q;
    always_ff @(posedge clk) begin
      late_q[0] <= late_d;
      for (int unsigned n = 1; n < HashWait; n++) late_q[n] <= late_q[n-1];
    end
    assign late = late_q[HashWait-1];
  end

  // ---- decide
  typedef struct packed {
    rx_frame_t      frame;
    rx_class_stat_t stat;
  } verdict_t;

  // verilator lint_off UNUSEDSIGNAL  // takes the whole struct, looks at a part
  function automatic verdict_t decide(input plan_t plan, input late_t known, input lookup_t found, input logic rss);
    logic [7:0] pair;
    logic hit;
    decide = '0;
    pair = '0;
    hit = plan.asked && (found.match == MATCH_FLOW || found.match == MATCH_LISTENER ||
        (found.match == MATCH_ANY && (found.local_ok || plan.to_any)));
    if (hit) begin
      decide.stat.flow = found.match == MATCH_FLOW;
      decide.stat.listener = found.match == MATCH_LISTENER;
      decide.stat.any = found.match == MATCH_ANY;
      decide.frame.drop = found.target == TARGET_DROP;
      if (found.target == TARGET_QUEUE) pair = {2'd0, found.pair};
    end else if (plan.spreads && rss && known.report != '0) begin
      decide.stat.rss = 1'b1;
      pair = known.pair;
    end else decide.stat.host = 1'b1;
    if (pair >= 8'(QUEUES / 2)) pair = '0;
    decide.stat.malformed = plan.malformed;
    decide.stat.fragment = plan.fragment;
    decide.stat.csum_ok = known.csum_ok;
    decide.stat.csum_bad = known.csum_bad;
    decide.frame.bytes = plan.bytes;
    decide.frame.vq = {pair[5:0], 1'b0};
    decide.frame.csum_ok = known.csum_ok;
    decide.frame.hash = known.hash;
    decide.frame.hash_report = known.report;
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  always_ff @(posedge clk) begin
    m_valid <= valid_q[ParseWait] && !rst;
    stat_o  <= '0;
    if (valid_q[ParseWait] && !rst) {m_frame, stat_o} <= decide(plan_q[ParseWait], late, lk_result_i, rss_on);
  end

  initial
    if (LOOKUP_LATENCY < 2 || LOOKUP_LATENCY > 8 || QUEUES < 2 || QUEUES > 128)
      $fatal(1, "%m: parameters out of range");

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && valid_q[ParseWait] && plan_q[ParseWait].asked != lk_result_valid_i)
      $fatal(1, "%m lookup: an answer that is not %0d cycles behind its question at %0t", LOOKUP_LATENCY, $time);
`else
  wire unused_result = &{1'b0, lk_result_valid_i};
`endif
  wire unused = &{1'b0, csum_valid};
endmodule
`default_nettype wire
