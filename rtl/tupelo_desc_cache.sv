// SPDX-License-Identifier: Apache-2.0
// tupelo_desc_cache - available descriptors of every virtqueue, fetched and not used yet
// Guarantees: first in, first out per queue; the places of an indirect table are reserved in ring order and filled
//   when it comes. A queue is ready while it holds a whole chain with nothing missing before it. A descriptor can be
//   looked at (offset) before it is popped. Of the flags only NEXT is kept, and INDIRECT: out of a table, so that the
//   chain takes one slot of the ring.
// Clock/reset: clk; rst synchronous, active high. start_i empties one queue.
// Contract: transmit virtqueues are odd, receive virtqueues even, so that the two readers never meet. A reader
//   presents its queue a cycle before: it sees and pops what it has presented in the cycle before, and pop and
//   presenting of the same queue in one cycle give what lies behind. Pop only if valid.
`default_nettype none
module tupelo_desc_cache
  import tupelo_pkg::*;
#(
    parameter integer QUEUES     = 16,  // virtqueues, 2..128
    parameter integer DESC_CACHE = 64,  // descriptors a queue, a power of two 16..128
    localparam integer QidxW = $clog2(QUEUES),
    localparam integer SlotW = $clog2(DESC_CACHE)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               start_i,
    input  wire  [ QidxW-1:0] start_queue_i,
    // a descriptor, or the reservation of a table's places
    input  wire               put_i,
    input  wire               reserve_i,        // instead of put_i
    input  wire  [ QidxW-1:0] put_queue_i,
    input  wire  [       7:0] put_slot_i,       // place (of the first), modulo 256
    input  wire  desc_t       put_desc_i,       // flags INDIRECT: out of a table
    input  wire  [       7:0] reserve_slots_i,
    output wire  [QUEUES-1:0] chain_ready_o,
    output wire               grow_o,           // pulse: put_queue_i has more whole, filled chains
    // how many have been popped, modulo 256
    input  wire  [ QidxW-1:0] count_queue_i,
    output wire  [       7:0] pop_count_o,
    input  wire  [ QidxW-1:0] room_queue_i,
    output wire  [       7:0] room_count_o,
    // transmit reader: a descriptor at a time
    input  wire  [ QidxW-1:0] tx_queue_i,
    output wire  desc_t       tx_desc_o,
    output wire               tx_valid_o,
    input  wire               tx_pop_i,
    output wire  [ QidxW-1:0] tx_pop_queue_o,
    // receive reader: looks ahead, pops whole chains
    input  wire  [ QidxW-1:0] rx_queue_i,
    input  wire  [       7:0] rx_offset_i,
    output wire  desc_t       rx_desc_o,
    output wire               rx_valid_o,       // the chain at offset 0
    output wire  [       7:0] rx_level_o,       // descriptors of whole, filled chains from offset 0 on
    input  wire               rx_pop_i,
    input  wire  [       7:0] rx_pop_descs_i,
    output wire  [ QidxW-1:0] rx_pop_queue_o
);
  typedef struct packed {
    logic        indirect;
    logic        next;
    logic [15:0] id;
    logic [31:0] len;
    logic [63:0] addr;
  } entry_t;

  entry_t tx_mem[QUEUES/2*DESC_CACHE];
  entry_t rx_mem[QUEUES/2*DESC_CACHE];
  logic [7:0] pop_mem[QUEUES];
  logic [7:0] end_mem[QUEUES];  // end of the last whole chain, filled or not
  logic [7:0] ready_mem[QUEUES];  // end of the last whole chain before which all is filled
  logic [7:0] open_mem[QUEUES];  // tables reserved and not filled
  logic [QUEUES-1:0] ready_q;

  // The place of a descriptor: its queue pair, then its count modulo the depth.
  localparam integer AddrW = $clog2(QUEUES / 2 * DESC_CACHE);
  function automatic logic [AddrW-1:0] place(input logic [QidxW-1:0] queue, input logic [SlotW-1:0] count);
    place = AddrW'({queue >> 1, count});
  endfunction
  function automatic desc_t as_desc(input entry_t entry);
    as_desc = '{flags: '0, id: entry.id, len: entry.len, addr: entry.addr};
    as_desc.flags[DescNext] = entry.next;
    as_desc.flags[DescIndirect] = entry.indirect;
  endfunction

  assign pop_count_o   = pop_mem[count_queue_i];
  assign room_count_o  = pop_mem[room_queue_i];
  assign chain_ready_o = ready_q;

  // ---- in
  wire entry_t put_entry = '{
      indirect: put_desc_i.flags[DescIndirect],
      next: put_desc_i.flags[DescNext],
      id: put_desc_i.id,
      len: put_desc_i.len,
      addr: put_desc_i.addr
  };
  wire put_end = put_i && !put_entry.next;
  wire [7:0] put_behind = put_slot_i + (reserve_i ? reserve_slots_i : 8'd1);
  wire [7:0] put_open = open_mem[put_queue_i];
  wire grow = put_end && (put_entry.indirect || put_open == 8'd0);  // what is ready reaches further

  assign grow_o = grow;

  always_ff @(posedge clk) begin
    if (put_i && put_queue_i[0]) tx_mem[place(put_queue_i, put_slot_i[SlotW-1:0])] <= put_entry;
    if (put_i && !put_queue_i[0]) rx_mem[place(put_queue_i, put_slot_i[SlotW-1:0])] <= put_entry;
  end

  // ---- out
  wire [QidxW-1:0] tx_pop_queue, rx_pop_queue;
  wire [7:0] tx_pop_next = pop_mem[tx_pop_queue] + 8'd1;
  wire [7:0] rx_pop_next = pop_mem[rx_pop_queue] + rx_pop_descs_i;
  assign tx_pop_queue_o = tx_pop_queue;
  assign rx_pop_queue_o = rx_pop_queue;

  always_ff @(posedge clk) begin
    if (tx_pop_i) begin
      pop_mem[tx_pop_queue] <= tx_pop_next;
      if (tx_pop_next == ready_mem[tx_pop_queue]) ready_q[tx_pop_queue] <= 1'b0;
    end
    if (rx_pop_i) begin
      pop_mem[rx_pop_queue] <= rx_pop_next;
      if (rx_pop_next == ready_mem[rx_pop_queue]) ready_q[rx_pop_queue] <= 1'b0;
    end
    if (reserve_i) open_mem[put_queue_i] <= put_open + 8'd1;
    if (put_end && put_entry.indirect) open_mem[put_queue_i] <= put_open - 8'd1;
    if (reserve_i || (put_end && !put_entry.indirect)) end_mem[put_queue_i] <= put_behind;
    if (grow) begin  // the last open table makes all ready that is whole behind it
      ready_mem[put_queue_i] <= put_entry.indirect && put_open == 8'd1 ? end_mem[put_queue_i] : put_behind;
      ready_q[put_queue_i]   <= 1'b1;
    end
    if (start_i) begin
      pop_mem[start_queue_i]   <= '0;
      end_mem[start_queue_i]   <= '0;
      ready_mem[start_queue_i] <= '0;
      open_mem[start_queue_i]  <= '0;
      ready_q[start_queue_i]   <= 1'b0;
    end
    if (rst) ready_q <= '0;
  end

  // Registered reads, for block RAM.
  entry_t tx_entry_q, rx_entry_q;
  logic tx_valid_q, rx_valid_q;
  logic [7:0] rx_level_q;
  logic [QidxW-1:0] tx_queue_q, rx_queue_q;
  wire [7:0] tx_head = tx_pop_i && tx_queue_q == tx_queue_i ? tx_pop_next : pop_mem[tx_queue_i];
  wire [7:0] rx_head = rx_pop_i && rx_queue_q == rx_queue_i ? rx_pop_next : pop_mem[rx_queue_i];
  always_ff @(posedge clk) begin
    tx_entry_q <= tx_mem[place(tx_queue_i, SlotW'(tx_head))];
    tx_queue_q <= tx_queue_i;
    tx_valid_q <= ready_q[tx_queue_i] && tx_head != ready_mem[tx_queue_i] && !(start_i && start_queue_i == tx_queue_i);
    rx_entry_q <= rx_mem[place(rx_queue_i, SlotW'(rx_head + rx_offset_i))];
    rx_queue_q <= rx_queue_i;
    rx_valid_q <= ready_q[rx_queue_i] && rx_head != ready_mem[rx_queue_i] && !(start_i && start_queue_i == rx_queue_i);
    rx_level_q <= ready_mem[rx_queue_i] - rx_head;
    if (rst) begin
      tx_valid_q <= 1'b0;
      rx_valid_q <= 1'b0;
    end
  end
  assign tx_desc_o    = as_desc(tx_entry_q);
  assign tx_valid_o   = tx_valid_q;
  assign tx_pop_queue = tx_queue_q;
  assign rx_desc_o    = as_desc(rx_entry_q);
  assign rx_valid_o   = rx_valid_q;
  assign rx_level_o   = rx_valid_q ? rx_level_q : 8'd0;
  assign rx_pop_queue = rx_queue_q;

  wire unused = &{1'b0, put_desc_i.flags};
endmodule
`default_nettype wire
