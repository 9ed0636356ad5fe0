// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_choose - which frame goes to the splitter next, and which ones have to go
// Guarantees: the splitter is offered the first frame of a queue that is active and has a whole chain cached, one every
//   other cycle also of a single queue. Such queues share the splitter's time, not its frames: deficit round robin in
//   cycles that another offer had to wait. So buffers of many tiny pieces slow their own queue and no other. Frames of
//   other queues wait and cost the splitter nothing. In each cycle in which the splitter takes none, a frame is thrown away here if it has to be:
//   - FILTER: a table said so; the last list holds these.
//   - QUEUE_ERROR, NO_BUFFER: its queue is not active (stopped or not), or has no buffers and sleeps till its doorbell.
//   - NO_BUFFER: room runs short (low_i), and it is the first frame of a queue that waits for descriptors, or for more
//     of them. Queues that have waited for 1,024 to 2,048 cycles without a moment's supply give way first, so what a
//     dead queue has piled up never costs a frame of one that is dry for a moment. Round robin among equals.
//   - NO_BUFFER: room is scarce (scarce_i), and it is just coming in for a queue that waits or has done so in the last
//     1,024 to 2,048 cycles (away_o). So a trickle of buffers protects no pile.
//   - NO_BUFFER: room runs short, nobody waits, and it is just coming in for a queue that holds its part of the buffer
//     already (away_o): its buffers take frames more slowly than they come.
//   So as many frames go as can come, and a frame finds room unless queues with buffers have filled it.
// Clock/reset: clk; rst synchronous, active high.
// Contract: grow_i says that more chains are cached for grow_queue_i; back_i: the first frame of the queue on offer
//   needs more than it has (seen up to two cycles ago), it is not offered again before that queue grows. hold_i: the
//   splitter counts the frame on offer; else it may be exchanged. take_i, drop_i take it off its list. dry_i: the last
//   chain of dry_queue_i leaves now. busy_drop_i: the splitter counts a drop. What is presented to the descriptor cache
//   for next_queue_o is seen when the offer is. pop_last_i: the list of pop_list_o has no other frame.
`default_nettype none
module tupelo_rx_choose
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer QidxW = $clog2(QUEUES),
    localparam integer Pairs = QUEUES / 2,
    localparam integer ListW = $clog2(Pairs + 1)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    input  wire  [QUEUES-1:0] active_i,
    input  wire  [QUEUES-1:0] stopped_i,
    input  wire  [QUEUES-1:0] awake_i,
    input  wire  [QUEUES-1:0] chain_ready_i,
    input  wire               grow_i,
    input  wire  [ QidxW-1:0] grow_queue_i,
    input  wire               low_i,
    input  wire               scarce_i,
    input  wire  [   Pairs:0] some_i,         // a list a pair, and the filter's
    // the splitter
    output wire               offer_valid,
    output wire  [ QidxW-1:0] offer_queue_o,
    output wire               offer_resume_o, // it has been looked at before
    output wire  [ QidxW-1:0] next_queue_o,   // on offer in the next cycle, if there is one
    output wire               next_resume_o,
    input  wire               hold_i,
    input  wire               take_i,
    input  wire               drop_i,
    input  wire               back_i,
    input  wire               dry_i,
    input  wire  [ QidxW-1:0] dry_queue_i,
    input  wire               busy_drop_i,
    // the lists
    output wire               load_o,
    output wire  [ ListW-1:0] load_list_o,
    output wire               pop_o,
    output wire  [ ListW-1:0] pop_list_o,
    input  wire               pop_last_i,
    input  wire               toss_ready,     // room for one frame thrown away, and for the splitter's
    // a frame that is to be added: it is thrown away instead
    input  wire               add_i,
    input  wire  [ ListW-1:0] add_list_i,
    input  wire               add_greedy_i,   // its queue holds more than its part of the buffer
    output wire               away_o,
    // statistics
    output wire               toss_o,         // pulse: it is thrown away here
    output logic [       5:0] toss_stat_o
);
  localparam integer EpochW = 10;
  localparam logic [ListW-1:0] Filter = ListW'(Pairs);
  typedef logic [Pairs-1:0] pairs_t;

  // Receive queues only, a bit a pair.
  pairs_t active, stopped, awake, chains;
  always_comb begin
    for (int p = 0; p < Pairs; p++) begin
      active[p]  = active_i[2*p];
      stopped[p] = stopped_i[2*p];
      awake[p]   = awake_i[2*p];
      chains[p]  = chain_ready_i[2*p];
    end
  end
  function automatic pairs_t one(input logic on, input logic [ListW-1:0] list);
    one = on ? pairs_t'((Pairs + 1)'(1) << list) : '0;
  endfunction
  function automatic logic [ListW-1:0] list_of(input logic [QidxW-1:0] queue);
    list_of = ListW'(queue >> 1);
  endfunction

  logic offer_q;
  logic [ListW-1:0] list_q, last_q;
  logic reap_q;
  logic [ListW-1:0] reap_list_q;
  pairs_t short_q;  // the first frame needs more chains than are there
  pairs_t begun_q;  // it has been looked at
  logic grow_q;
  logic [ListW-1:0] grow_list_q;
  wire pairs_t grown = one(grow_i, list_of(grow_queue_i)) | one(grow_q, grow_list_q);

  // ---- what the splitter can have
  wire pairs_t some = some_i[Pairs-1:0];
  wire pairs_t supplied = chains & ~short_q;
  wire pairs_t ready = some & active & supplied & ~one(dry_i, list_of(dry_queue_i));
  wire pairs_t offered = one(offer_q, list_q);
  wire over = take_i || drop_i || back_i;  // with the frame on offer
  wire keep = offer_q && !over && (hold_i || (ready & offered) != '0);
  wire turn_valid;
  wire [ListW-1:0] turn;
  wire [Pairs:0] pick_req = {1'b0, ready & ~one(pop_o, pop_list_o) & ~(back_i ? offered : '0)};
  tupelo_rr_pick #(
      .N(Pairs + 1)
  ) u_pick (
      .req_i  (pick_req),
      .last_i (last_q),
      .valid_o(turn_valid),
      .idx_o  (turn)
  );

  // ---- turns: a queue goes on while it has time left; a turn gives it Quantum cycles, in which it pays its debts first.
  //   What keeps an offer waiting is charged: the frame that the splitter has taken, or the one that it counts.
  localparam integer TimeW = 10;
  localparam logic signed [TimeW-1:0] Quantum = TimeW'(16);
  localparam logic signed [TimeW-1:0] DebtMost = -TimeW'(400);
  typedef logic signed [TimeW-1:0] time_left_t;
  time_left_t [Pairs-1:0] left_q;
  pairs_t rich_q;  // there is time left
  pairs_t poor_q;  // a turn does not pay the debts
  logic [ListW-1:0] owner_q;
  wire stay = pick_req[last_q] && (rich_q & one(1'b1, last_q)) != '0;
  wire skip = !keep && turn_valid && !stay && (poor_q & one(1'b1, turn)) != '0;
  wire begin_turn = !keep && turn_valid && !stay;
  wire pick_valid = turn_valid && !skip;
  wire [ListW-1:0] pick = stay ? last_q : turn;
  wire pairs_t charged = one(take_i || (offer_q && !over), hold_i || take_i ? list_q : owner_q);
  wire pairs_t paid = one(begin_turn, turn);
  time_left_t [Pairs-1:0] left_now;
  always_comb begin
    left_now = left_q;
    if (charged != '0 || paid != '0) begin
      for (int p = 0; p < Pairs; p++) begin
        if (charged[p] && left_q[p] > DebtMost) left_now[p] = left_q[p] - 1'b1;
        if (paid[p]) left_now[p] = (left_now[p] > 0 ? '0 : left_now[p]) + Quantum;
      end
    end
  end
  wire [ListW-1:0] next = keep ? list_q : pick;
  assign load_o         = !keep && pick_valid;
  assign load_list_o    = pick;
  assign offer_valid    = offer_q;
  assign offer_queue_o  = QidxW'({list_q, 1'b0});
  assign offer_resume_o = (begun_q & one(1'b1, list_q)) != '0;
  assign next_queue_o   = QidxW'({next, 1'b0});
  assign next_resume_o  = (begun_q & one(1'b1, next)) != '0;

  // ---- what has to go
  logic [EpochW-1:0] epoch_q;
  pairs_t waits_q;  // has waited since the last epoch began
  pairs_t old_q;  // ... and through a whole one
  pairs_t thin_q;  // has waited at some time in this epoch
  pairs_t thin_before_q;  // ... in the last one
  wire pairs_t idle = some & ~offered;
  wire pairs_t waiting = idle & active & ~supplied;
  wire pairs_t dead = idle & (~active | (~awake & ~supplied));
  wire pairs_t left = ~(pop_o && pop_last_i ? one(1'b1, pop_list_o) : '0);  // still there in the next cycle
  pairs_t victims;
  always_comb begin
    victims = '0;
    if (low_i) begin
      victims = waiting & old_q & left;
      if (victims == '0) victims = waiting & left;
    end
  end
  wire [Pairs:0] gone = {some_i[Pairs] && !(pop_o && pop_last_i && pop_list_o == Filter), dead & left};
  wire reap_valid;
  wire [ListW-1:0] reap;
  tupelo_rr_pick #(
      .N(Pairs + 1)
  ) u_reap (
      .req_i  (gone != '0 ? gone : {1'b0, victims}),
      .last_i (reap_list_q),
      .valid_o(reap_valid),
      .idx_o  (reap)
  );
  wire [Pairs:0] may = {some_i[Pairs], dead | (low_i ? waiting : '0)};
  wire due = reap_q && may[reap_list_q] && !halt_i;
  wire toss = due && toss_ready && !take_i && !drop_i && !busy_drop_i && !away_o;
  wire away_thin = scarce_i && (one(1'b1, add_list_i) & active & (waiting | thin_q | thin_before_q)) != '0;
  wire away_greedy = low_i && add_greedy_i && waiting == '0;
  assign away_o = add_i && (away_thin || away_greedy) && toss_ready && !drop_i && !busy_drop_i;
  assign pop_o      = take_i || drop_i || toss;
  assign pop_list_o = take_i || drop_i ? list_q : reap_list_q;
  assign toss_o     = toss;
  always_comb begin
    toss_stat_o = 6'(STAT_RX_DROP_NO_BUFFER);
    if (reap_list_q == Filter) toss_stat_o = 6'(STAT_RX_DROP_FILTER);
    else if ((one(1'b1, reap_list_q) & stopped) != '0) toss_stat_o = 6'(STAT_RX_DROP_QUEUE_ERROR);
  end

  always_ff @(posedge clk) begin
    offer_q <= keep || pick_valid;
    if (load_o) list_q <= pick;
    if (!keep && turn_valid) last_q <= pick;
    if (take_i) owner_q <= list_q;
    left_q <= left_now;
    for (int p = 0; p < Pairs; p++) begin
      rich_q[p] <= left_now[p] > 0;
      poor_q[p] <= left_now[p] + Quantum <= 0;
    end
    grow_q      <= grow_i;
    grow_list_q <= list_of(grow_queue_i);
    short_q <= ((short_q & ~grown) | (back_i ? offered & ~grown : '0)) & active & ~one(pop_o, pop_list_o);
    begun_q <= (begun_q | (back_i ? offered : '0)) & active & ~one(pop_o, pop_list_o);

    if (!due || toss) begin
      reap_q <= reap_valid;
      if (reap_valid) reap_list_q <= reap;
    end
    epoch_q <= epoch_q + 1'b1;
    waits_q <= waits_q & waiting;
    old_q   <= old_q & waiting;
    thin_q  <= thin_q | waiting;
    if (epoch_q == '0) begin
      thin_q        <= waiting;
      thin_before_q <= thin_q;
      waits_q <= waiting;
      old_q   <= (old_q | waits_q) & waiting;
    end
    if (rst) begin
      offer_q       <= 1'b0;
      reap_q        <= 1'b0;
      list_q        <= '0;
      last_q        <= '0;
      owner_q       <= '0;
      left_q        <= '0;
      rich_q        <= '0;
      poor_q        <= '0;
      reap_list_q   <= '0;
      short_q       <= '0;
      begun_q       <= '0;
      grow_q        <= 1'b0;
      epoch_q       <= '0;
      waits_q       <= '0;
      old_q         <= '0;
      thin_q        <= '0;
      thin_before_q <= '0;
    end
  end
endmodule
`default_nettype wire
