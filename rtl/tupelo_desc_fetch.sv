// SPDX-License-Identifier: Apache-2.0
// tupelo_desc_fetch - asks for descriptors ahead of their use, for all virtqueues
// Guarantees: reads bursts of up to 256 bytes of a ring, several in flight a queue, never more than the queue's
//   cache is expected to have room for: an indirect descriptor takes as many places as its table, so the request
//   side goes by what the last ones took. After a descriptor that is not available, or does not fit yet, the position
//   goes back and everything read beyond it is dropped. Before a queue falls asleep its event structure is armed and
//   the ring looked at once more, so that no doorbell is lost (VIRTIO 1.2 sections 2.8.7, 2.8.10, 2.8.21.3).
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue's state.
// Contract: ar_* is a request stream answered in order on r_* (tupelo_desc_unpack's side). One request a cycle, one
//   every other cycle a queue: the first cycle picks a queue and reads its state, the second makes the request of it.
// The life of a queue: asleep -(doorbell)-> polling -(nothing available)-> arming -> looking again -> asleep.
`default_nettype none
module tupelo_desc_fetch
  import tupelo_pkg::*;
  import tupelo_rings_pkg::*;
#(
    parameter integer QUEUES     = 16,  // virtqueues, 2..128
    parameter integer DESC_CACHE = 64,  // descriptors cached a queue, a power of two 16..128
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    input  wire               event_idx_i,       // VIRTIO_F_RING_EVENT_IDX negotiated
    input  wire  [QUEUES-1:0] active_i,
    input  wire               start_i,
    input  wire  [ QidxW-1:0] start_queue_i,
    input  wire               kick_i,
    input  wire  [ QidxW-1:0] kick_queue_i,
    output wire  [QUEUES-1:0] awake_o,           // may still find descriptors without another doorbell
    // queue table
    output wire  [ QidxW-1:0] cfg_queue_o,
    input  wire  queue_cfg_t  cfg_i,
    // requests
    output wire               ar_valid,
    input  wire               ar_ready,
    output wire  [      63:0] ar_addr,
    output wire  [       4:0] ar_descs,          // 1..16
    output wire  [ QidxW-1:0] ar_queue,
    output wire               ar_tables,         // tables are expected behind them
    input  wire               likely_room_i,     // there is room for such ones
    // from tupelo_desc_unpack: what became of a burst
    input  wire               done_i,            // pulse: a burst of done_queue_i has been looked at
    input  wire  [ QidxW-1:0] done_queue_i,
    input  wire               miss_i,            // with done_i: it ended at a descriptor that is not available
    input  wire               miss_mid_chain_i,  // with miss_i: inside a chain
    input  wire               fail_i,            // with done_i: an error was reported, the queue is stopping
    input  wire               wait_i,            // with done_i: it ended at a descriptor that needs more room
    input  wire               full_i,            // with done_i: every descriptor of a whole burst was taken
    input  wire               took_i,            // pulse: a descriptor of took_queue_i was taken
    input  wire  [ QidxW-1:0] took_queue_i,
    output wire               broken_o,          // with miss_i: the chain will never be complete
    input  wire  taken_t      accept_i,          // of accept_queue_o
    input  wire  [       7:0] pop_count_i,       // of accept_queue_o: descriptors taken out of the cache, modulo 256
    output wire  [ QidxW-1:0] accept_queue_o,
    input  wire  [QUEUES-1:0] chain_ready_i,     // a whole chain is in the cache
    input  wire               free_i,            // pulse: free_queue_i has more room in its cache
    input  wire  [ QidxW-1:0] free_queue_i,
    input  wire               free2_i,
    input  wire  [ QidxW-1:0] free2_queue_i,
    output wire               dropping_o,        // of done_queue_i: the burst is to be thrown away
    // event structure writes
    output wire               ew_valid,
    input  wire               ew_ready,
    output wire  [ QidxW-1:0] ew_queue,
    output wire  [      31:0] ew_data,
    input  wire               ewb_valid,         // pulse: the write of ewb_queue has been answered
    input  wire  [ QidxW-1:0] ewb_queue,
    // queue reset
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o
);
  localparam integer BurstDescs = BurstBytes / DescBytes;  // 16

  // A picked queue's state.
  typedef struct packed {
    logic [QidxW-1:0] queue_idx;
    logic rewind;  // rewind_q as it was
    ring_pos_t pos;
    logic [7:0] count;  // descriptors asked for, modulo 256
    logic [7:0] unanswered;
    logic [7:0] free;  // places of the cache that are not given away
    logic [2:0] spread;
    logic tables;
    logic [7:0] need;
    logic tight;  // nothing is whole in the cache, and nothing on its way
    logic [63:0] base;
    logic [15:0] size;
  } state_t;

  // Written by the request side.
  ring_pos_t iss_pos_mem[QUEUES];
  logic [7:0] iss_count_mem[QUEUES];
  logic [5:0] iss_bursts_mem[QUEUES];
  logic [QUEUES-1:0] rewound_q;
  // Written by the answer side.
  logic [5:0] done_bursts_mem[QUEUES];
  logic [5:0] drop_until_mem[QUEUES];
  logic [QUEUES-1:0] rewind_q;  // differs from rewound_q: the request side must start over at the accepted position
  logic [QUEUES-1:0] stream_q;  // the last burst was full: read far ahead

  logic [QUEUES-1:0] active_q;
  logic [QUEUES-1:0] want_q, kick_q, poll_q, arming_q, again_q, quiet_told_q;
  logic [QUEUES-1:0] arm_req_q, mute_req_q, ew_flight_q, ew_is_arm_q;
  logic [QidxW-1:0] last_receive_q, last_transmit_q, ew_last_q;
  logic transmit_turn_q;
  logic ask_valid_q;
  state_t ask_q;

  // ---- request side: one queue a cycle. Receive queues (even) have every other turn, however few they are: a frame
  // that waits on the wire's side is lost when the FIFO is full, one that waits in a transmit ring is not.
  wire [QUEUES-1:0] want_receive = want_q & {(QUEUES / 2) {2'b01}};
  wire [QUEUES-1:0] want_transmit = want_q & {(QUEUES / 2) {2'b10}};
  wire receive = want_receive != '0 && (transmit_turn_q == 1'b0 || want_transmit == '0);
  wire pick_valid;
  wire [QidxW-1:0] pick;
  tupelo_rr_pick #(
      .N(QUEUES)
  ) u_pick (
      .req_i  (receive ? want_receive : want_transmit),
      .last_i (receive ? last_receive_q : last_transmit_q),
      .valid_o(pick_valid),
      .idx_o  (pick)
  );

  // An arming write is made of the position where the queue stopped; it borrows the position port then.
  wire ew_pick_valid;
  wire [QidxW-1:0] ew_pick;
  tupelo_rr_pick #(
      .N(QUEUES)
  ) u_ew_pick (
      .req_i  ((arm_req_q | mute_req_q) & ~ew_flight_q),
      .last_i (ew_last_q),
      .valid_o(ew_pick_valid),
      .idx_o  (ew_pick)
  );
  wire arm = arm_req_q[ew_pick];

  assign ew_valid = ew_pick_valid && !halt_i;
  assign accept_queue_o = ew_valid ? ew_pick : pick;
  assign ew_queue = ew_pick;
  assign ew_data = !arm ? {14'd0, EventDisable, 16'd0}
      : event_idx_i ? {14'd0, EventDesc, accept_i.pos} : {14'd0, EventEnable, 16'd0};

  assign cfg_queue_o = pick;
  wire restart = rewind_q[pick] != rewound_q[pick];
  wire ring_pos_t pos = restart ? accept_i.pos : iss_pos_mem[pick];
  wire [7:0] count = restart ? accept_i.seen : iss_count_mem[pick];
  wire [5:0] in_flight = iss_bursts_mem[pick] - done_bursts_mem[pick];
  wire dropping_pick = done_bursts_mem[pick] != drop_until_mem[pick];
  wire [5:0] most = again_q[pick] ? 6'd1 : stream_q[pick] ? 6'(DESC_CACHE / BurstDescs) + 6'd1 : 6'd2;
  wire polling = poll_q[pick] || (kick_q[pick] && !arming_q[pick]);
  wire open = active_i[pick] && polling && !dropping_pick && in_flight < most;

  // A queue that is picked does not want any more; whatever happens to it from here on lets it want again. So the
  // request may be made of older state, if that errs on the safe side only; a refusal alone takes it back.
  wire ask_leaves;
  wire stall = halt_i || ew_valid || (ask_valid_q && (!ask_leaves || ask_q.queue_idx == pick));
  wire picked = pick_valid && !stall;

  // ---- the request
  wire [63:0] addr = ask_q.base + {45'd0, ask_q.pos.idx, 4'd0};
  wire [3:0] line_descs = ask_q.base[7:4] + ask_q.pos.idx[3:0];
  wire [15:0] to_boundary = 16'(BurstDescs) - {12'd0, line_descs};
  wire [15:0] to_end = ask_q.size - {1'b0, ask_q.pos.idx};
  wire [15:0] whole = to_boundary < to_end ? to_boundary : to_end;
  wire [7:0] expected = ask_q.free >> ask_q.spread;
  wire [7:0] lots = expected > ask_q.unanswered ? expected - ask_q.unanswered : 8'd0;
  // A short read is worth it for a chain that the cache cannot finish for want of room, else if it asks for at least a
  // quarter of what the cache can hold.
  wire [7:0] room = lots != 8'd0 ? lots : ask_q.tight ? ask_q.free : 8'd0;
  wire [15:0] n_descs = whole <= {8'd0, room} ? whole : {8'd0, room};
  wire worth = n_descs == whole || ask_q.tight || n_descs[7:0] >= (8'(DESC_CACHE / 4) >> ask_q.spread);
  // A slot is not asked for again before the answer for its last lap has come: reads have no order among themselves,
  // and one that overtakes would find a descriptor of two laps ago, whose flags fit.
  wire same_lap = {8'd0, ask_q.unanswered} + n_descs <= ask_q.size;
  wire eligible = active_i[ask_q.queue_idx] && same_lap && n_descs != 16'd0 && worth && ask_q.free >= ask_q.need;

  wire later = ask_q.tables && !likely_room_i;  // others' turn meanwhile

  assign ar_valid = ask_valid_q && eligible && !later && !halt_i;
  assign ar_addr  = addr;
  assign ar_descs = n_descs[4:0];
  assign ar_queue = ask_q.queue_idx;
  assign ar_tables = ask_q.tables;
  wire fire = ar_valid && ar_ready;
  wire refusal = done_i && (miss_i || fail_i || wait_i);
  assign ask_leaves = fire || !eligible || later || (refusal && done_queue_i == ask_q.queue_idx);

  // ---- answer side
  assign dropping_o = done_bursts_mem[done_queue_i] != drop_until_mem[done_queue_i];
  assign broken_o   = miss_mid_chain_i && again_q[done_queue_i] && !kick_q[done_queue_i];
  wire [5:0] done_next = done_bursts_mem[done_queue_i] + 6'd1;
  wire fire_same = fire && ask_q.queue_idx == done_queue_i;
  wire missed = done_i && !dropping_o && miss_i && !fail_i;
  wire must_arm = event_idx_i || quiet_told_q[done_queue_i];

  assign awake_o = poll_q | arming_q | kick_q;

  always_ff @(posedge clk) begin
    active_q <= active_i;
    if (active_i != active_q) want_q <= want_q | (active_i & kick_q);  // a doorbell before its time is not lost
    if (!stall) ask_valid_q <= picked && open && !(refusal && done_queue_i == pick);
    else if (ask_leaves) ask_valid_q <= 1'b0;
    if (picked) begin
      want_q[pick] <= 1'b0;
      if (active_i[pick] && !poll_q[pick] && kick_q[pick] && !arming_q[pick]) begin
        poll_q[pick] <= 1'b1;
        kick_q[pick] <= 1'b0;
      end
      transmit_turn_q <= receive;
      if (receive) last_receive_q <= pick;
      else last_transmit_q <= pick;
      if (open)
        ask_q <= '{
            queue_idx: pick,
            rewind: rewind_q[pick],
            pos: pos,
            count: count,
            unanswered: count - accept_i.seen,
            free: 8'(DESC_CACHE) - (accept_i.slots - pop_count_i),
            spread: accept_i.spread,
            tables: accept_i.tables,
            need: accept_i.need,
            tight: !chain_ready_i[pick] && in_flight == 6'd0,
            base: cfg_i.desc,
            size: cfg_i.size
        };
    end
    if (ask_valid_q && (fire || later)) want_q[ask_q.queue_idx] <= 1'b1;
    if (fire) begin
      iss_pos_mem[ask_q.queue_idx]    <= ring_advance(ask_q.pos, n_descs, ask_q.size);
      iss_count_mem[ask_q.queue_idx]  <= ask_q.count + n_descs[7:0];
      iss_bursts_mem[ask_q.queue_idx] <= iss_bursts_mem[ask_q.queue_idx] + 6'd1;
      rewound_q[ask_q.queue_idx]      <= ask_q.rewind;
    end

    if (took_i) again_q[took_queue_i] <= 1'b0;
    if (done_i) begin
      done_bursts_mem[done_queue_i] <= done_next;
      want_q[done_queue_i]          <= 1'b1;
      if (!dropping_o) begin
        drop_until_mem[done_queue_i] <= done_next;
        if (miss_i || fail_i || wait_i) begin  // what is still in flight lies beyond it
          drop_until_mem[done_queue_i] <= iss_bursts_mem[done_queue_i] + 6'(fire_same);
          rewind_q[done_queue_i]       <= !(fire_same ? rewind_q[done_queue_i] : rewound_q[done_queue_i]);
          if (!wait_i) stream_q[done_queue_i] <= 1'b0;
          if (wait_i) again_q[done_queue_i] <= 1'b0;  // something is there
        end else if (full_i) stream_q[done_queue_i] <= 1'b1;
        if (fail_i) poll_q[done_queue_i] <= 1'b0;
        if (full_i && !event_idx_i && !quiet_told_q[done_queue_i]) begin
          quiet_told_q[done_queue_i] <= 1'b1;
          mute_req_q[done_queue_i]   <= 1'b1;
        end
      end
    end
    if (missed) begin
      if (kick_q[done_queue_i]) kick_q[done_queue_i] <= 1'b0;  // a doorbell since the last look: look again
      else if (again_q[done_queue_i]) begin  // armed and still nothing: asleep
        again_q[done_queue_i] <= 1'b0;
        poll_q[done_queue_i]  <= 1'b0;
      end else if (must_arm) begin
        arming_q[done_queue_i]   <= 1'b1;
        arm_req_q[done_queue_i]  <= 1'b1;
        mute_req_q[done_queue_i] <= 1'b0;
        poll_q[done_queue_i]     <= 1'b0;
      end else if (miss_mid_chain_i) again_q[done_queue_i] <= 1'b1;
      else poll_q[done_queue_i] <= 1'b0;
    end

    if (ew_valid && ew_ready) begin
      ew_last_q            <= ew_pick;
      ew_flight_q[ew_pick] <= 1'b1;
      ew_is_arm_q[ew_pick] <= arm;
      mute_req_q[ew_pick]  <= 1'b0;
      if (arm) begin  // a request to arm that comes with a muting write stays
        arm_req_q[ew_pick]    <= 1'b0;
        quiet_told_q[ew_pick] <= 1'b0;
      end
    end
    if (ewb_valid) begin
      ew_flight_q[ewb_queue] <= 1'b0;
      if (ew_is_arm_q[ewb_queue]) begin
        arming_q[ewb_queue] <= 1'b0;
        again_q[ewb_queue]  <= 1'b1;
        poll_q[ewb_queue]   <= 1'b1;
        want_q[ewb_queue]   <= 1'b1;
      end
    end
    if (free_i) want_q[free_queue_i] <= 1'b1;
    if (free2_i) want_q[free2_queue_i] <= 1'b1;
    if (kick_i) begin
      kick_q[kick_queue_i] <= 1'b1;
      want_q[kick_queue_i] <= 1'b1;
    end

    if (start_i) begin
      iss_pos_mem[start_queue_i]     <= RingStart;
      iss_count_mem[start_queue_i]   <= '0;
      iss_bursts_mem[start_queue_i]  <= '0;
      done_bursts_mem[start_queue_i] <= '0;
      drop_until_mem[start_queue_i]  <= '0;
      {rewound_q[start_queue_i], rewind_q[start_queue_i], stream_q[start_queue_i]} <= '0;
      {want_q[start_queue_i], kick_q[start_queue_i], poll_q[start_queue_i]} <= '0;
      {arming_q[start_queue_i], again_q[start_queue_i], quiet_told_q[start_queue_i]} <= '0;
      {arm_req_q[start_queue_i], mute_req_q[start_queue_i], ew_flight_q[start_queue_i]} <= '0;
    end
    if (rst) begin
      {want_q, kick_q, poll_q, arming_q, again_q, quiet_told_q} <= '0;
      {arm_req_q, mute_req_q, ew_flight_q, ew_is_arm_q} <= '0;
      {rewind_q, rewound_q, stream_q} <= '0;
      last_receive_q  <= '0;
      last_transmit_q <= '0;
      transmit_turn_q <= 1'b0;
      ew_last_q   <= '0;
      ask_valid_q <= 1'b0;
      active_q    <= '0;
    end
  end

  assign busy_o = iss_bursts_mem[busy_queue_i] != done_bursts_mem[busy_queue_i]
      || ew_flight_q[busy_queue_i] || arm_req_q[busy_queue_i] || mute_req_q[busy_queue_i];

  initial begin
    if (DESC_CACHE < 16 || DESC_CACHE > 128 || (DESC_CACHE & (DESC_CACHE - 1)) != 0)
      $fatal(1, "%m: DESC_CACHE must be a power of two 16..128, not %0d", DESC_CACHE);
  end
  wire unused = &{1'b0, cfg_i.vector, cfg_i.driver, cfg_i.device};
endmodule
`default_nettype wire
