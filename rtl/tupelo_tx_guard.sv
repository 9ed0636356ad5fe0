// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_guard - may the owner of a queue pair send this frame? One verdict a frame, in order
// Guarantees: one frame a cycle so far as the look-ups keep up. m_valid is a pulse, in the cycle behind s_valid for a
//   frame that needs no look-up, else in the cycle of the look-up's result, if no frame before waits.
// Clock/reset: clk; rst synchronous, active high, forgets frames and fragments.
// Contract: s_valid comes for at most 64 frames before their m_valid; there is no back-pressure on either side.
//   lk_result_valid_i: results in order, never before the look-up was taken.
// How: what can be said at once is in the record that waits for its turn; look-ups are asked ahead in a FIFO of their
//   own. A pair's last fragment is remembered when its verdict is given, so a fragment follows only what may leave.
// Spec: docs/steering.md, "Frames to send: the guard": order of the rules and what each is for.
`default_nettype none
module tupelo_tx_guard
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
  import tupelo_parse_pkg::*;
#(
    parameter  integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer PAIRS  = QUEUES / 2
) (
    input  wire               clk,
    input  wire               rst,
    input  wire  [      47:0] mac_i,
    input  wire               s_valid,
    input  wire               s_guarded,
    input  wire parsed_t      s_parsed,           // of a guarded frame
    input  wire tx_verdict_t  s_verdict,          // what the offload request gave
    output wire               lk_valid,
    input  wire               lk_ready,
    output wire tuple_t       lk_tuple,
    input  wire               lk_result_valid_i,
    input  wire lookup_t      lk_result_i,
    output wire               m_valid,
    output tx_verdict_t       m_verdict
);
  localparam integer Depth = 64;
  localparam integer PairW = PAIRS > 1 ? $clog2(PAIRS) : 1;
  localparam logic [15:0] TcpCsumOffset = 16'd16;
  localparam logic [15:0] UdpCsumOffset = 16'd6;

  // What fragments of one packet have in common, and where the next begins in units of 8 bytes.
  typedef struct packed {
    logic         ipv6;
    logic [7:0]   proto;
    logic [127:0] src;
    logic [127:0] dst;
    logic [31:0]  id;
    logic [12:0]  offset;
  } fragment_t;

  typedef struct packed {
    tx_verdict_t verdict;
    logic        guarded;
    logic        ask;  // there is a look-up
    logic        later;  // must follow what is remembered
    logic        more;  // is followed itself
    fragment_t   here;
    logic [12:0] next;
  } record_t;

  // What is needed of a look-up's result.
  typedef struct packed {
    match_e     match;
    target_e    target;
    logic [5:0] pair;
    logic       local_ok;
  } answer_t;

  // ---- on arrival: all that can be said without the tables and without the frames before
  // verilator lint_off UNUSEDSIGNAL  // takes the whole parsed_t, looks at a part
  function automatic logic unsound(input parsed_t parsed, input tx_verdict_t verdict);
    logic l4;
    l4 = parsed.proto == ProtoTcp || parsed.proto == ProtoUdp;
    unsound = !parsed.ip || parsed.vlans != 2'd0 || parsed.options;
    unsound |= parsed.proto == ProtoIcmp || parsed.proto == ProtoIcmpv6;
    unsound |= !parsed.fragment && (parsed.malformed || (l4 && !parsed.tcp && !parsed.udp));
    // What is rewritten after the check must be the checksum of this frame's own header.
    unsound |= verdict.csum && !(verdict.csum_start == {8'd0, parsed.l4_offset} &&
        ((parsed.tcp && verdict.csum_offset == TcpCsumOffset) || (parsed.udp && verdict.csum_offset == UdpCsumOffset)));
  endfunction

  // A fragment that cannot be one of ours: without its L4 header, of no length or one that nothing can follow, or
  // that ends beyond the largest packet.
  function automatic logic torn(input parsed_t parsed, input logic [15:0] bytes);
    logic [16:0] end_bytes;
    end_bytes = {1'b0, parsed.fragment_offset, 3'b000} + {1'b0, bytes};
    torn = !parsed.later && (parsed.malformed || !(parsed.tcp || parsed.udp));
    torn |= parsed.malformed || bytes == '0 || (parsed.more && bytes[2:0] != '0);
    torn |= end_bytes > (parsed.ipv6 ? 17'd65535 : 17'd65515);
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  logic [15:0] bytes;  // of the fragment
  record_t s_record;

  always_comb begin
    bytes    = '0;
    s_record = '0;
    if (s_valid) begin
      bytes = s_parsed.l3_bytes - (s_parsed.ipv6 ? 16'd48 : 16'd20);
      s_record.verdict = s_verdict;
      s_record.guarded = s_guarded;
      if (s_guarded && !s_verdict.drop) begin
        s_record.verdict.drop = 1'b1;
        if (s_parsed.src_mac != mac_i) s_record.verdict.drop_stat = 6'(STAT_TX_DROP_GUARD_MAC);
        else if (unsound(s_parsed, s_verdict)) s_record.verdict.drop_stat = 6'(STAT_TX_DROP_GUARD_PROTO);
        else if (s_parsed.fragment && torn(s_parsed, bytes))
          s_record.verdict.drop_stat = 6'(STAT_TX_DROP_GUARD_FRAGMENT);
        else begin
          s_record.verdict.drop = 1'b0;
          s_record.ask = !s_parsed.later;
          s_record.later = s_parsed.later;
          s_record.more = s_parsed.fragment && s_parsed.more;
          s_record.here = '{
              ipv6: s_parsed.ipv6,
              proto: s_parsed.proto,
              src: s_parsed.src,
              dst: s_parsed.dst,
              id: s_parsed.fragment_id,
              offset: s_parsed.fragment_offset
          };
          s_record.next = s_parsed.fragment_offset + bytes[15:3];
        end
      end
    end
  end

  wire ask_ready, record_ready, record_valid, take;
  wire [6:0] ask_level, record_level;
  record_t head;
  wire tuple_t tuple = '{
      ipv6: s_parsed.ipv6,
      proto: s_parsed.proto,
      local_addr: s_parsed.src,
      remote_addr: s_parsed.dst,
      local_port: s_parsed.sport,
      remote_port: s_parsed.dport
  };

  tupelo_fifo #(
      .WIDTH($bits(tuple_t)),
      .DEPTH(Depth)
  ) u_ask (
      .clk    (clk),
      .rst    (rst),
      .s_data (tuple),
      .s_valid(s_valid && s_record.ask),
      .s_ready(ask_ready),
      .m_data (lk_tuple),
      .m_valid(lk_valid),
      .m_ready(lk_ready),
      .level_o(ask_level)
  );

  tupelo_fifo #(
      .WIDTH($bits(record_t)),
      .DEPTH(Depth)
  ) u_record (
      .clk    (clk),
      .rst    (rst),
      .s_data (s_record),
      .s_valid(s_valid),
      .s_ready(record_ready),
      .m_data (head),
      .m_valid(record_valid),
      .m_ready(take),
      .level_o(record_level)
  );

  // ---- results: straight to the frame that waits, or kept until frames before it are done
  wire answer_t fresh = '{
      match: lk_result_i.match,
      target: lk_result_i.target,
      pair: lk_result_i.pair,
      local_ok: lk_result_i.local_ok
  };
  wire kept_valid, kept_ready;
  wire [6:0] kept_level;
  answer_t kept;
  wire uses = record_valid && head.ask;
  wire straight = uses && !kept_valid && lk_result_valid_i;

  tupelo_fifo #(
      .WIDTH($bits(answer_t)),
      .DEPTH(Depth)
  ) u_kept (
      .clk    (clk),
      .rst    (rst),
      .s_data (fresh),
      .s_valid(lk_result_valid_i && !straight),
      .s_ready(kept_ready),
      .m_data (kept),
      .m_valid(kept_valid),
      .m_ready(uses),
      .level_o(kept_level)
  );

  // ---- the verdict
  logic [PAIRS-1:0] active_q;  // the pair's last frame has a successor
  fragment_t last_mem[PAIRS];
  wire [PairW-1:0] pair = PairW'(head.verdict.vq >> 1);
  wire answer_t answer = kept_valid ? kept : fresh;
  wire follows = active_q[pair] && last_mem[pair] == head.here;
  wire owned = answer.target == TARGET_QUEUE && answer.pair == 6'(pair);
  wire found = answer.match inside {MATCH_FLOW, MATCH_LISTENER} || (answer.match == MATCH_ANY && answer.local_ok);

  assign take    = record_valid && (!head.ask || kept_valid || lk_result_valid_i);
  assign m_valid = take;

  always_comb begin
    m_verdict = head.verdict;
    if (take && head.guarded && !head.verdict.drop) begin
      if (head.later) begin
        m_verdict.drop = !follows;
        m_verdict.drop_stat = 6'(STAT_TX_DROP_GUARD_FRAGMENT);
      end else begin
        m_verdict.drop = !(found && owned);
        m_verdict.drop_stat = found ? 6'(STAT_TX_DROP_GUARD_OWNER) : 6'(STAT_TX_DROP_GUARD_TUPLE);
      end
    end
    if (m_verdict.drop) begin
      m_verdict.csum = 1'b0;
      m_verdict.tso  = 1'b0;
    end else m_verdict.drop_stat = '0;
  end

  wire goes_on = take && head.more && !m_verdict.drop;

  always_ff @(posedge clk) begin
    if (take) active_q[pair] <= goes_on;
    if (goes_on) begin
      last_mem[pair] <= {head.here[$bits(fragment_t)-1:13], head.next};
    end
    if (rst) active_q <= '0;
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && ((s_valid && !record_ready) || (s_valid && s_record.ask && !ask_ready) ||
                 (lk_result_valid_i && !straight && !kept_ready)))
      $fatal(1, "%m lost: more than %0d frames wait at %0t", Depth, $time);
`endif
  wire unused = &{1'b0, ask_ready, record_ready, kept_ready, ask_level, record_level, kept_level, lk_result_i, head};
endmodule
`default_nettype wire
