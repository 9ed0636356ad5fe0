// SPDX-License-Identifier: Apache-2.0
// tupelo_desc_unpack - takes fetched descriptors apart, checks them one a cycle, and offers the available ones
// Guarantees: descriptors of a ring are taken in ring order, only while they are available (VIRTIO 1.2 section 2.8.1)
//   and the cache has room, each checked: length, direction, flags, chain length, and a cycle later the window its
//   memory must lie in. One with INDIRECT (section 2.8.8) gets the places of its whole table; the table's entries are
//   checked alike when they come. The first bad one is reported, and nothing behind it in its queue goes on.
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue's state.
// Contract: bursts are announced on req_* in the order in which r_* answers them; r_* has no back-pressure: req_ready
//   says that there is room for the answer. A chain is at most DESC_CACHE descriptors and, without INDIRECT, at most
//   the ring long.
`default_nettype none
module tupelo_desc_unpack
  import tupelo_pkg::*;
  import tupelo_rings_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES     = 16,   // virtqueues, 2..128
    parameter integer DATA_W     = 512,  // bits, 128, 256, 512
    parameter integer DESC_CACHE = 64,   // descriptors cached a queue, a power of two 16..128
    parameter integer BURSTS     = 32,   // bursts of 256 bytes in flight, a power of two; of shorter ones, more
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               indirect_i,      // VIRTIO_F_RING_INDIRECT_DESC negotiated
    input  wire  [QUEUES-1:0] active_i,
    input  wire               start_i,
    input  wire  [ QidxW-1:0] start_queue_i,
    // requests made
    input  wire               req_valid,
    output wire               req_ready,
    input  wire  burst_t      req_i,
    // answers
    input  wire               r_valid,
    input  wire  [DATA_W-1:0] r_data,
    input  wire               r_err,
    // queue table
    output wire  [ QidxW-1:0] cfg_queue_o,
    input  wire  [      15:0] cfg_size_i,
    // to tupelo_desc_fetch, about bursts of a ring
    output wire               done_o,
    output wire  [ QidxW-1:0] done_queue_o,
    output wire               miss_o,
    output wire               miss_mid_chain_o,
    output wire               fail_o,
    output wire               wait_o,          // with done_o: it ended at a descriptor for which there is no room
    output wire               full_o,
    output wire               took_o,
    input  wire               dropping_i,
    input  wire               broken_i,
    input  wire  [ QidxW-1:0] accept_queue_i,
    output wire  taken_t      accept_o,        // of accept_queue_i
    // to the caches
    output wire  [ QidxW-1:0] room_queue_o,
    input  wire  [       7:0] room_count_i,    // of room_queue_o: descriptors taken out of the cache, modulo 256
    output wire               put_o,
    output wire               reserve_o,
    output wire  [ QidxW-1:0] put_queue_o,
    output wire  desc_t       put_desc_o,
    output wire  table_t      put_table_o,     // slot: also of put_o
    input  wire               table_room_i,
    output wire               came_o,          // pulse: came_descs_o descriptors of a ring that were expected to have
    output wire  [       4:0] came_descs_o,    // tables have been looked at
    // window check: what may be read, or written; answered in the next cycle
    output wire               chk_valid_o,
    output wire  [       5:0] chk_pair_o,
    output wire  [      63:0] chk_addr_o,
    output wire  [      31:0] chk_len_o,
    output wire               chk_write_o,
    input  wire               chk_ok_i,
    output wire  queue_error_t error_o,
    // queue reset: of busy_queue_i, tables are on their way
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o
);
  localparam integer Lanes = DATA_W / 128;
  localparam integer LaneW = Lanes > 1 ? $clog2(Lanes) : 1;
  localparam integer LaneShift = $clog2(Lanes);
  localparam integer Beats = BurstBytes * 8 / DATA_W;
  localparam integer CreditW = $clog2(BURSTS * Beats) + 1;
  localparam integer Notes = 128;  // bursts in flight at most

  // A descriptor on its way to the cache, between the checks of its own fields and that of its window.
  typedef struct packed {
    logic         indirect;  // it points to a table
    stop_reason_e reason;
    logic [63:0]  at;  // where it was read
    table_t       place;
    desc_t        desc;
  } step_t;

  ring_pos_t pos_mem[QUEUES];
  logic [7:0] seen_mem[QUEUES];
  logic [7:0] slots_mem[QUEUES];
  logic [7:0] chain_mem[QUEUES];  // descriptors of the unfinished chain, 0 between chains
  logic [2:0] spread_mem[QUEUES];
  logic [7:0] need_mem[QUEUES];
  logic [QUEUES-1:0] tables_q;
  logic [7:0] tables_in_mem[QUEUES];
  logic [7:0] tables_out_mem[QUEUES];
  logic [QUEUES-1:0] dead_q;  // something of it was refused: nothing more goes to the cache

  logic [4:0] left_q;  // descriptors of the burst not looked at yet, once begun_q
  logic [3:0] lane_q;  // place of the next one in its burst's line, in descriptors
  logic begun_q, clean_q;

  // ---- bursts in flight, and their answers
  wire burst_valid, beat_valid, beat_err;
  wire burst_t burst;
  wire [DATA_W-1:0] beat_data;
  wire [$clog2(Notes):0] burst_level;
  wire [CreditW-1:0] beat_level;
  wire beat_pop, burst_pop, beat_ready, note_ready;
  logic [CreditW-1:0] credit_q;  // beats for which there is room
  wire [3:0] req_first = req_i.addr[7:4];
  wire [3:0] req_last = req_first + 4'(req_i.descs - 5'd1);
  wire [4:0] req_beats = 5'(req_last >> LaneShift) - 5'(req_first >> LaneShift) + 5'd1;
  assign req_ready = note_ready && credit_q >= CreditW'(Beats);

  tupelo_fifo #(
      .WIDTH($bits(burst_t)),
      .DEPTH(Notes)
  ) u_bursts (
      .clk    (clk),
      .rst    (rst),
      .s_data (req_i),
      .s_valid(req_valid),
      .s_ready(note_ready),
      .m_data (burst),
      .m_valid(burst_valid),
      .m_ready(burst_pop),
      .level_o(burst_level)
  );

  tupelo_fifo #(
      .WIDTH(DATA_W + 1),
      .DEPTH(BURSTS * Beats)
  ) u_beats (
      .clk    (clk),
      .rst    (rst),
      .s_data ({r_err, r_data}),
      .s_valid(r_valid),
      .s_ready(beat_ready),
      .m_data ({beat_err, beat_data}),
      .m_valid(beat_valid),
      .m_ready(beat_pop),
      .level_o(beat_level)
  );

  wire [QidxW-1:0] queue = burst.vq[QidxW-1:0];
  wire [4:0] left = begun_q ? left_q : burst.descs;
  wire [3:0] lane = begun_q ? lane_q : burst.addr[7:4];
  wire clean = !begun_q || clean_q;  // nothing of this burst has been refused
  wire [LaneW-1:0] lane_in_beat = Lanes > 1 ? lane[LaneW-1:0] : '0;
  wire desc_t desc = beat_data[128*lane_in_beat+:128];

  // ---- what a descriptor says by itself
  assign cfg_queue_o  = queue;
  assign room_queue_o = queue;
  wire ring_pos_t pos = pos_mem[queue];
  wire [7:0] chain_descs = chain_mem[queue];
  wire look = burst_valid && beat_valid;
  wire drop = (dropping_i && !burst.is_table) || !clean || !active_i[queue];
  wire avail = burst.is_table || desc_is_avail(desc.flags, pos.wrap);
  wire next = desc.flags[DescNext];
  wire chain_over = next && (chain_descs + 8'd1 >= 8'(DESC_CACHE) || {8'd0, chain_descs} + 16'd1 >= cfg_size_i);
  wire indirect = desc.flags[DescIndirect] && indirect_i && !burst.is_table;
  wire bad_table = next || chain_descs != 8'd0 || desc.len == 32'd0 || desc.len > 32'(DESC_CACHE * DescBytes)
      || desc.len[3:0] != 4'd0 || desc.addr[3:0] != 4'd0;
  wire bad_flags = desc.flags[DescIndirect] || desc.flags[DescWrite] == queue[0];  // odd virtqueues transmit
  wire miss = look && !drop && !beat_err && !avail;

  stop_reason_e reason;
  always_comb begin
    reason = STOP_REASON_NONE;
    if (beat_err) reason = STOP_REASON_DESC_READ;
    else if (!avail) reason = broken_i ? STOP_REASON_CHAIN_BROKEN : STOP_REASON_NONE;
    else if (burst.is_table && desc.flags[DescIndirect]) reason = STOP_REASON_INDIRECT;
    else if (indirect) reason = bad_table ? STOP_REASON_INDIRECT : STOP_REASON_NONE;
    else if (bad_flags) reason = STOP_REASON_DESC_FLAGS;
    else if (desc.len == 32'd0) reason = STOP_REASON_DESC_LENGTH;
    else if (chain_over && !burst.is_table) reason = STOP_REASON_CHAIN_LONG;
  end
  wire fail = look && !drop && reason != STOP_REASON_NONE;

  // ---- room for it, and its table's
  wire [7:0] slots = indirect ? desc.len[11:4] : 8'd1;
  wire [7:0] used = slots_mem[queue] - room_count_i;
  wire fits = {1'b0, used} + {1'b0, slots} <= 9'(DESC_CACHE) && (!indirect || table_room_i);
  wire good = look && !drop && avail && !fail;
  wire take = good && fits && !burst.is_table;
  wire no_room = good && !fits && !burst.is_table;
  wire go = good && (fits || burst.is_table);

  // What is refused goes a beat a cycle, what is taken a descriptor a cycle.
  wire refuse = drop || miss || fail || no_room;
  wire [4:0] in_beat = 5'(Lanes) - {{(5 - LaneW) {1'b0}}, lane_in_beat};
  wire [4:0] step = !refuse ? 5'd1 : in_beat < left ? in_beat : left;
  wire last = left == step;
  wire beat_end = refuse || lane_in_beat == LaneW'(Lanes - 1);

  assign beat_pop  = look && (last || beat_end);
  assign burst_pop = look && last;

  // A refusal is told when it happens; the rest of its burst is then dropped as a burst that lies beyond it.
  logic told_q;
  assign done_queue_o     = queue;
  assign miss_o           = miss && !burst.is_table;
  assign miss_mid_chain_o = chain_descs != 8'd0;
  assign fail_o           = fail && !burst.is_table;
  assign wait_o           = no_room;
  assign full_o           = take && last;
  assign took_o           = take;
  assign done_o           = !burst.is_table && (miss || fail || no_room || (look && last && !told_q));

  assign accept_o = '{
      pos: pos_mem[accept_queue_i],
      seen: seen_mem[accept_queue_i],
      slots: slots_mem[accept_queue_i],
      spread: spread_mem[accept_queue_i],
      tables: tables_q[accept_queue_i],
      need: need_mem[accept_queue_i]
  };

  // How many places the next descriptors will take: up at once, down step by step.
  wire [7:0] slots_less = slots - 8'd1;
  wire [2:0] spread = spread_mem[queue];
  logic [2:0] wide;
  always_comb begin
    wide = 3'd0;
    for (int b = 0; b < 7; b++) if (slots_less[b]) wide = 3'(b + 1);
  end

  // ---- the second stage: its window
  logic step_valid_q;
  step_t step_q;
  wire [QidxW-1:0] step_queue = step_q.place.vq[QidxW-1:0];
  wire own_bad = step_q.reason != STOP_REASON_NONE;
  wire live = step_valid_q && !dead_q[step_queue];
  wire bad = live && (own_bad || !chk_ok_i);

  assign chk_valid_o = go;
  assign chk_pair_o  = 6'(queue >> 1);
  assign chk_addr_o  = desc.addr;
  assign chk_len_o   = desc.len;
  assign chk_write_o = !indirect && !queue[0];
  assign put_o       = live && !bad && !step_q.indirect;
  assign reserve_o   = live && !bad && step_q.indirect;
  assign put_queue_o = step_queue;
  assign put_desc_o  = step_q.desc;
  assign put_table_o = step_q.place;
  assign error_o = '{
      valid: bad,
      vq: step_q.place.vq,
      reason: own_bad ? step_q.reason : STOP_REASON_WINDOW,
      pos: step_q.place.pos,
      addr: own_bad ? step_q.at : step_q.desc.addr
  };
  assign came_o       = burst_pop && !burst.is_table && burst.last;
  assign came_descs_o = burst.descs;
  assign busy_o       = tables_in_mem[busy_queue_i] != tables_out_mem[busy_queue_i];

  always_ff @(posedge clk) begin
    credit_q <= credit_q - (req_valid && req_ready ? CreditW'(req_beats) : '0) + CreditW'(beat_pop);
    if (look) begin
      begun_q <= !last;
      left_q  <= left - step;
      lane_q  <= lane + step[3:0];
      clean_q <= clean && !refuse;
      told_q  <= !last && (told_q || miss || fail || no_room);
    end
    if (take) begin
      pos_mem[queue]   <= ring_advance(pos, 16'd1, cfg_size_i);
      seen_mem[queue]  <= seen_mem[queue] + 8'd1;
      slots_mem[queue] <= slots_mem[queue] + slots;
      tables_q[queue]  <= indirect;
      chain_mem[queue] <= next ? chain_descs + 8'd1 : 8'd0;
      if (wide > spread) spread_mem[queue] <= wide;
      else if (wide < spread && pos.idx[2:0] == 3'd0) spread_mem[queue] <= spread - 3'd1;
    end
    if (take || no_room) need_mem[queue] <= take ? 8'd0 : slots;

    step_valid_q <= go || fail;
    if (go || fail) begin
      step_q.indirect <= indirect;
      step_q.reason   <= reason;
      step_q.at       <= {burst.addr[63:8], lane, 4'd0};
      step_q.desc     <= desc;
      step_q.place    <= '{
          vq: burst.vq,
          pos: burst.is_table ? burst.pos : pos,
          id: desc.id,
          slot: burst.is_table ? burst.slot + {4'd0, lane - burst.addr[7:4]} : slots_mem[queue],
          entries: slots,
          addr: desc.addr
      };
      step_q.desc.flags[DescIndirect] <= burst.is_table;
      if (burst.is_table) begin  // a table is a chain in its own order, whatever its flags say
        step_q.desc.id              <= burst.id;
        step_q.desc.flags[DescNext] <= !(burst.last && last);
      end
    end
    if (bad) dead_q[step_queue] <= 1'b1;
    if (reserve_o) tables_in_mem[step_queue] <= tables_in_mem[step_queue] + 8'd1;
    if (burst_pop && burst.is_table && burst.last) tables_out_mem[queue] <= tables_out_mem[queue] + 8'd1;

    if (start_i) begin
      pos_mem[start_queue_i]        <= RingStart;
      seen_mem[start_queue_i]       <= '0;
      slots_mem[start_queue_i]      <= '0;
      chain_mem[start_queue_i]      <= '0;
      spread_mem[start_queue_i]     <= '0;
      need_mem[start_queue_i]       <= '0;
      tables_in_mem[start_queue_i]  <= '0;
      tables_out_mem[start_queue_i] <= '0;
      tables_q[start_queue_i]       <= 1'b0;
      dead_q[start_queue_i]         <= 1'b0;
    end
    if (rst) begin
      begun_q      <= 1'b0;
      told_q       <= 1'b0;
      step_valid_q <= 1'b0;
      dead_q       <= '0;
      credit_q     <= CreditW'(BURSTS * Beats);
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && r_valid && !beat_ready)
      $fatal(1, "%m overflow: more descriptor beats than asked for at %0t", $time);
`endif
  wire unused = &{1'b0, burst_level, beat_level, beat_ready, slots_less[7]};
endmodule
`default_nettype wire
