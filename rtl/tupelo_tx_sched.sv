// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_sched - which transmit queue sends next: two classes in strict priority, deficit round robin in bytes
//   within a class, a token bucket a queue
// Guarantees: a queue's turn gives it weight * 64 bytes; it is served while its deficit is above 0, and each chain is
//   charged when its length is known (the surplus form of deficit round robin), so debts and what is left carry over
//   and long-term shares are exact. A turn that breaks off because the queue's cache has run dry goes on before another
//   begins, and interrupts one that has had 8 KiB: so turns may be longer than what a cache holds. What is left at the
//   next turn is kept up to one turn's worth. Each class keeps its own turns: chains of the high class do not disturb
//   the shares of the low one. What a chain sends beyond its length (headers of segments) is charged once that is known.
//   A dropped chain stays charged: it has taken as much of the memory's and the NIC's time as one that is sent.
//   One chain a cycle within a turn, of a limited queue every other; the first pick of a new turn comes two cycles
//   after the charge that ended the old one; a queue that owes n turns waits n cycles when it is alone.
// Clock/reset: clk; rst clears deficits and fills buckets (datapath), cfg_rst also the settings; both synchronous.
// Contract: take_i only with pick_valid_o; the charge of a chain comes before the next take, or with its own take.
//   more_i at most every third cycle. rst is given along with cfg_rst.
// Spec: docs/registers.md, block `sched`.
// How: a bucket counts in 1/256 byte, may go below 0, and is filled every 128 cycles; its memory serves one queue a
//   cycle, charges first. A full bucket is a bit and not a number.
// Limits: a burst of less than 128 cycles' worth of the rate holds the queue below its rate.
`default_nettype none
module tupelo_tx_sched
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               cfg_rst,
    input  wire tupelo_axil_pkg::axil_bus_t bus_i,
    output logic [      31:0] rd_data_o,
    input  wire  [QUEUES-1:0] ready_i,         // a whole chain is cached; only transmit (odd) queues count
    output wire               pick_valid_o,
    output wire  [ QidxW-1:0] pick_o,
    output wire  [ QidxW-1:0] show_o,          // what will be the pick in the next cycle, as far as is known
    input  wire               take_i,          // the pick is begun
    input  wire               charge_i,
    input  wire  [ QidxW-1:0] charge_queue_i,
    input  wire  [      16:0] charge_bytes_i,
    input  wire               more_i,          // a chain that was charged has sent more than its length
    input  wire  [ QidxW-1:0] more_queue_i,
    input  wire  [      23:0] more_bytes_i,
    output wire  [       7:0] read_cost_o,     // least charge of a read, bytes
    output wire               waiting_o        // a bucket is not full: time must go on
);
  localparam integer Pairs = QUEUES / 2;
  localparam integer PairW = Pairs > 1 ? $clog2(Pairs) : 1;
  localparam integer Slots = Pairs > 1 ? Pairs : 2;
  // Signed bytes: two quanta of the largest weight; a debt of the longest chain, and of 128 bytes of headers for each
  // byte of it inside the NIC, of which there are less than 180,000 (two such chains, slots, buffer).
  localparam integer DeficitW = 26;
  localparam integer TokenW = 42;  // signed 1/256 bytes
  localparam integer FillShift = 7;  // cycles between two fillings
  localparam integer BlockBits = 8;
  localparam integer SliceShift = 13;  // log2 of the bytes after which a turn may be interrupted
  typedef logic signed [DeficitW-1:0] deficit_t;
  typedef logic signed [TokenW-1:0] token_t;

  // ---- settings: in memories; what has not been written holds its reset value
  logic [7:0] select_q, read_cost_q;
  assign read_cost_o = read_cost_q;
  logic [15:0] weight_mem[Pairs];
  logic [31:0] rate_mem[Pairs];
  logic [31:0] burst_mem[Pairs];
  logic [Pairs-1:0] weight_set_q, burst_set_q, limited_q, high_q;

  wire wr_hit = bus_i.wr_p && bus_i.wr_addr[17:BlockBits] == BASE_SCHED[17:BlockBits];
  wire rd_hit = bus_i.rd_addr[17:BlockBits] == BASE_SCHED[17:BlockBits];
  wire [5:0] wr_word = bus_i.wr_addr[7:2];
  wire exists = select_q < 8'(Pairs);
  wire [PairW-1:0] sel = select_q[PairW-1:0];
  wire wr_weight = wr_hit && exists && wr_word == REG_SCHED_WEIGHT[7:2] && bus_i.wr_strb[1:0] == 2'b11;
  wire wr_rate = wr_hit && exists && wr_word == REG_SCHED_RATE[7:2];
  wire wr_burst = wr_hit && exists && wr_word == REG_SCHED_BURST[7:2];

  wire [15:0] sel_weight = weight_set_q[sel] ? weight_mem[sel] : RESET_SCHED_WEIGHT[15:0];
  wire [31:0] sel_rate = limited_q[sel] ? rate_mem[sel] : '0;
  wire [31:0] sel_burst = burst_set_q[sel] ? burst_mem[sel] : RESET_SCHED_BURST;
  wire [31:0] new_rate = tupelo_axil_pkg::merge(sel_rate, bus_i.wr_data, bus_i.wr_strb);

  always_ff @(posedge clk) begin
    if (wr_hit && wr_word == REG_SCHED_SELECT[7:2] && bus_i.wr_strb[0]) select_q <= bus_i.wr_data[7:0];
    if (wr_hit && wr_word == REG_SCHED_READ_COST[7:2] && bus_i.wr_strb[0]) read_cost_q <= bus_i.wr_data[7:0];
    if (wr_hit && exists && wr_word == REG_SCHED_CLASS[7:2] && bus_i.wr_strb[0])
      high_q[sel] <= bus_i.wr_data[SCHED_CLASS_HIGH_LSB];
    if (wr_weight) begin
      weight_mem[sel]   <= bus_i.wr_data[15:0] == '0 ? 16'd1 : bus_i.wr_data[15:0];
      weight_set_q[sel] <= 1'b1;
    end
    if (wr_rate) begin
      rate_mem[sel]  <= new_rate;
      limited_q[sel] <= new_rate != '0;
    end
    if (wr_burst) begin
      burst_mem[sel]   <= tupelo_axil_pkg::merge(sel_burst, bus_i.wr_data, bus_i.wr_strb);
      burst_set_q[sel] <= 1'b1;
    end
    if (cfg_rst) begin
      select_q     <= '0;
      read_cost_q  <= RESET_SCHED_READ_COST[7:0];
      high_q       <= '0;
      limited_q    <= '0;
      weight_set_q <= '0;
      burst_set_q  <= '0;
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_hit && bus_i.rd_addr[7:2] == REG_SCHED_SELECT[7:2]) rd_data_o <= {24'd0, select_q};
      else if (rd_hit && bus_i.rd_addr[7:2] == REG_SCHED_READ_COST[7:2]) rd_data_o <= {24'd0, read_cost_q};
      else if (rd_hit && exists) begin
        case (bus_i.rd_addr[7:2])
          REG_SCHED_WEIGHT[7:2]: rd_data_o <= {16'd0, sel_weight};
          REG_SCHED_CLASS[7:2]: rd_data_o <= {31'd0, high_q[sel]};
          REG_SCHED_RATE[7:2]: rd_data_o <= sel_rate;
          REG_SCHED_BURST[7:2]: rd_data_o <= sel_burst;
          default: ;
        endcase
      end
    end
  end

  // ---- charges; what went out beyond a chain's length waits for a cycle without another
  logic charge_q;
  logic [PairW-1:0] charge_pair_q;
  logic [16:0] charge_bytes_q;
  logic more_q;
  logic [PairW-1:0] more_pair_q;
  logic [23:0] more_bytes_q;
  wire more = more_q && !charge_q;

  always_ff @(posedge clk) begin
    charge_q <= charge_i && !rst;
    if (charge_i) begin
      charge_pair_q  <= PairW'(charge_queue_i >> 1);
      charge_bytes_q <= charge_bytes_i;
    end
    more_q <= (more_i || (more_q && !more)) && !rst;
    if (more_i) begin
      more_pair_q  <= PairW'(more_queue_i >> 1);
      more_bytes_q <= more_bytes_i;
    end
  end

  // ---- token buckets
  token_t token_mem[Pairs];
  logic [Pairs-1:0] full_q, empty_q;
  logic [FillShift-1:0] time_q;
  logic [3:0] rounds_q;  // fillings of all buckets that are due
  logic [PairW-1:0] fill_q;

  wire [PairW-1:0] spend_pair = charge_q ? charge_pair_q : more_pair_q;
  wire [23:0] spend_bytes = charge_q ? 24'(charge_bytes_q) : more_bytes_q;
  wire spend = (charge_q || more) && limited_q[spend_pair];
  wire fill = rounds_q != '0 && !spend;
  wire fill_ends = fill && fill_q == PairW'(Pairs - 1);
  wire bucket_valid = spend || fill && limited_q[fill_q] && !full_q[fill_q];
  wire [PairW-1:0] bucket = spend ? spend_pair : fill_q;
  wire [31:0] bucket_burst = burst_set_q[bucket] ? burst_mem[bucket] : RESET_SCHED_BURST;
  token_t most, tokens;
  always_comb begin
    most   = '0;
    tokens = '0;
    if (bucket_valid) begin
      most   = token_t'({2'b00, bucket_burst, 8'd0});
      tokens = full_q[bucket] ? most : token_mem[bucket];
      if (spend) tokens = tokens - token_t'({10'd0, spend_bytes, 8'd0});
      else tokens = tokens + token_t'({9'd0, rate_mem[bucket], 1'b0});  // rate / 16 bytes are for 1,024 cycles
    end
  end

  always_ff @(posedge clk) begin
    time_q <= time_q + 1'b1;
    if (fill) fill_q <= fill_ends ? '0 : fill_q + 1'b1;
    if (&time_q && !fill_ends && rounds_q != '1) rounds_q <= rounds_q + 1'b1;
    else if (!(&time_q) && fill_ends) rounds_q <= rounds_q - 1'b1;
    if (bucket_valid) begin
      token_mem[bucket] <= tokens;
      full_q[bucket]    <= !spend && tokens >= most;
      empty_q[bucket]   <= tokens < 0;
    end
    if (wr_rate && (!limited_q[sel] || new_rate == '0)) begin  // a limit begins with a full bucket
      full_q[sel]  <= 1'b1;
      empty_q[sel] <= 1'b0;
    end
    if (rst) begin
      time_q   <= '0;
      rounds_q <= '0;
      fill_q   <= '0;
      full_q   <= '1;
      empty_q  <= '0;
    end
  end
  assign waiting_o = (limited_q & ~full_q) != '0;

  // ---- turns, one a class
  logic [Pairs-1:0] ready;
  always_comb for (int p = 0; p < Pairs; p++) ready[p] = ready_i[2*p+1] && !empty_q[p];

  deficit_t deficit_mem[Pairs];
  logic [Pairs-1:0] known_q;  // deficits that are valid; the others are 0
  logic [Pairs-1:0] credit_q;  // turns that broke off: the deficit is above 0
  logic [1:0][PairW-1:0] turn_q;  // who had the last turn
  logic [1:0][PairW-1:0] cur_q;  // who is served
  deficit_t [1:0] left_q;  // of that queue
  logic [1:0][SliceShift:0] slice_q;  // bytes of it since it came on; the top bit stays
  logic owing_q, owner_q;  // the chain that was taken last is not charged yet; its class

  wire high = (ready & high_q) != '0;  // the class that goes
  wire [Pairs-1:0] class_ready = ready & (high ? high_q : ~high_q);
  wire [PairW-1:0] cur = cur_q[high];

  deficit_t left;  // of the class that goes, after the charge
  deficit_t paid;
  assign paid = left_q[owner_q] - (charge_q ? deficit_t'({1'b0, charge_bytes_q}) : '0);
  assign left = owner_q == high ? paid : left_q[high];
  wire [17:0] slice = 18'(slice_q[owner_q]) + 18'(charge_bytes_q);
  wire resume;
  wire goes_on = class_ready[cur] && left > 0 && !(slice_q[high][SliceShift] && resume);

  // Who is next was found a cycle before: of those whose turn broke off, else the next turn, and the one behind that.
  logic back_valid_q, next_valid_q, next_class_q;
  logic [PairW-1:0] back_q, next_q;
  wire back_valid;
  wire [PairW-1:0] back;
  assign resume = back_valid_q && next_class_q == high && class_ready[back_q] && credit_q[back_q];
  wire found_valid, behind_valid;
  wire [PairW-1:0] found, behind;
  wire begins = next_valid_q && next_class_q == high && class_ready[next_q] && !resume;
  wire change = (resume || begins) && !goes_on && !more && !(owing_q && owner_q == high);
  wire [PairW-1:0] comes = resume ? back_q : next_q;
  tupelo_rr_pick #(
      .N(Slots)
  ) u_back (
      .req_i  (Slots'(class_ready & credit_q)),
      .last_i (cur),
      .valid_o(back_valid),
      .idx_o  (back)
  );
  tupelo_rr_pick #(
      .N(Slots)
  ) u_next (
      .req_i  (Slots'(class_ready)),
      .last_i (turn_q[high]),
      .valid_o(found_valid),
      .idx_o  (found)
  );
  tupelo_rr_pick #(
      .N(Slots)
  ) u_behind (
      .req_i  (Slots'(class_ready)),
      .last_i (next_q),
      .valid_o(behind_valid),
      .idx_o  (behind)
  );

  // A bucket that may just become empty is looked at before the next chain.
  assign pick_valid_o = goes_on && !more_q && !(charge_q && limited_q[charge_pair_q]);
  assign pick_o       = QidxW'({cur, 1'b1});
  assign show_o       = QidxW'({change ? comes : cur, 1'b1});

  wire [15:0] next_weight = weight_set_q[next_q] ? weight_mem[next_q] : RESET_SCHED_WEIGHT[15:0];

  // The memory of deficits is read for the next turn or for what went out beyond, and written likewise.
  wire more_class = high_q[more_pair_q];
  wire more_in_turn = cur_q[more_class] == more_pair_q;
  wire [PairW-1:0] stored_pair = more ? more_pair_q : comes;
  deficit_t quantum, carried, stored, lowered;
  always_comb begin
    quantum = '0;
    carried = '0;
    stored  = '0;
    lowered = '0;
    if (more || change) stored = known_q[stored_pair] ? deficit_mem[stored_pair] : '0;
    if (more) lowered = (more_in_turn ? left_q[more_class] : stored) - deficit_t'({2'b00, more_bytes_q});
    if (change) begin
      carried = comes == cur ? left : stored;
      if (begins) begin
        quantum = deficit_t'({1'b0, next_weight, 6'd0});
        if (carried > quantum) carried = quantum;
      end
    end
  end

  always_ff @(posedge clk) begin
    next_valid_q <= found_valid;
    next_class_q <= high;
    next_q       <= change && begins ? behind : found;
    back_valid_q <= back_valid;
    back_q       <= back;
    if (charge_i) owing_q <= 1'b0;
    else if (take_i) owing_q <= 1'b1;
    if (take_i) owner_q <= high;
    if (charge_q) begin
      left_q[owner_q]  <= paid;
      slice_q[owner_q] <= slice[SliceShift] || |slice[17:SliceShift+1] ? '1 : slice[SliceShift:0];
    end
    if (change) begin
      cur_q[high]     <= comes;
      left_q[high]    <= carried + quantum;
      slice_q[high]   <= '0;
      credit_q[cur]   <= left > 0 && high_q[cur] == high && !empty_q[cur];
      credit_q[comes] <= 1'b0;
      if (begins) turn_q[high] <= next_q;
    end
    if (more && more_in_turn) left_q[more_class] <= lowered;
    if (more && lowered <= 0) credit_q[more_pair_q] <= 1'b0;
    if ((change && high_q[cur] == high) || (more && !more_in_turn)) begin  // who has changed its class begins anew
      deficit_mem[more ? more_pair_q : cur] <= more ? lowered : left;
      known_q[more ? more_pair_q : cur]     <= 1'b1;
    end
    if (rst) begin
      cur_q        <= '0;
      turn_q       <= '0;
      credit_q     <= '0;
      left_q       <= '0;
      owing_q      <= 1'b0;
      known_q      <= '0;
      next_valid_q <= 1'b0;
      back_valid_q <= 1'b0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && charge_q && charge_pair_q != cur_q[owner_q])
      $fatal(1, "%m charge: pair %0d is charged in the turn of another at %0t", charge_pair_q, $time);
    if (!rst && take_i && (!pick_valid_o || owing_q))
      $fatal(1, "%m take: nothing to take, or the chain before is not charged at %0t", $time);
    if (!rst && more_i && more_q && !more) $fatal(1, "%m lost: more than one chain sent more at %0t", $time);
  end
`endif
  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0], charge_queue_i[0], more_queue_i[0], behind_valid,
      select_q};
endmodule
`default_nettype wire
