// SPDX-License-Identifier: Apache-2.0
// tupelo_desc_cache - available descriptors of every virtqueue, fetched and not used yet
// Guarantees: first in, first out per queue; reads are combinational; a descriptor can be looked at (offset) before
//   it is popped. chain_ready_o says that at least one whole chain is held.
// Clock/reset: clk; rst synchronous, active high. start_i empties one queue.
// Contract: transmit virtqueues are odd, receive virtqueues even, so that the two readers never meet.
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
    input  wire               put_i,
    input  wire  [ QidxW-1:0] put_queue_i,
    input  wire  [       7:0] put_count_i,
    input  wire  desc_t       put_desc_i,
    input  wire               put_chain_end_i,
    output wire  [QUEUES-1:0] chain_ready_o,
    input  wire  [ QidxW-1:0] count_queue_i,
    output wire  [       7:0] pop_count_o,      // of count_queue_i, modulo 256
    // transmit reader: a descriptor at a time
    input  wire  [ QidxW-1:0] tx_queue_i,
    output wire  desc_t       tx_desc_o,
    input  wire               tx_pop_i,
    input  wire               tx_chain_end_i,   // with tx_pop_i
    // receive reader: looks ahead, pops whole chains
    input  wire  [ QidxW-1:0] rx_queue_i,
    input  wire  [       7:0] rx_offset_i,
    output wire  desc_t       rx_desc_o,
    input  wire               rx_pop_i,
    input  wire  [       7:0] rx_pop_descs_i
);
  desc_t tx_mem[QUEUES/2*DESC_CACHE];
  desc_t rx_mem[QUEUES/2*DESC_CACHE];
  logic [7:0] pop_mem[QUEUES];
  logic [7:0] chains_in_mem[QUEUES];
  logic [7:0] chains_out_mem[QUEUES];
  logic [QUEUES-1:0] ready_q;

  // The place of a descriptor: its queue pair, then its count modulo the depth.
  localparam integer AddrW = $clog2(QUEUES / 2 * DESC_CACHE);
  function automatic logic [AddrW-1:0] place(input logic [QidxW-1:0] queue, input logic [SlotW-1:0] count);
    place = AddrW'({queue >> 1, count});
  endfunction

  assign tx_desc_o     = tx_mem[place(tx_queue_i, pop_mem[tx_queue_i][SlotW-1:0])];
  assign rx_desc_o     = rx_mem[place(rx_queue_i, SlotW'(pop_mem[rx_queue_i] + rx_offset_i))];
  assign pop_count_o   = pop_mem[count_queue_i];
  assign chain_ready_o = ready_q;

  wire tx_chain = tx_pop_i && tx_chain_end_i;
  wire put_chain = put_i && put_chain_end_i;

  always_ff @(posedge clk) begin
    if (put_i && put_queue_i[0]) tx_mem[place(put_queue_i, put_count_i[SlotW-1:0])] <= put_desc_i;
    if (put_i && !put_queue_i[0]) rx_mem[place(put_queue_i, put_count_i[SlotW-1:0])] <= put_desc_i;

    if (tx_pop_i) pop_mem[tx_queue_i] <= pop_mem[tx_queue_i] + 8'd1;
    if (rx_pop_i) pop_mem[rx_queue_i] <= pop_mem[rx_queue_i] + rx_pop_descs_i;
    if (tx_chain) begin
      chains_out_mem[tx_queue_i] <= chains_out_mem[tx_queue_i] + 8'd1;
      if (chains_in_mem[tx_queue_i] == chains_out_mem[tx_queue_i] + 8'd1) ready_q[tx_queue_i] <= 1'b0;
    end
    if (rx_pop_i) begin
      chains_out_mem[rx_queue_i] <= chains_out_mem[rx_queue_i] + 8'd1;
      if (chains_in_mem[rx_queue_i] == chains_out_mem[rx_queue_i] + 8'd1) ready_q[rx_queue_i] <= 1'b0;
    end
    if (put_chain) begin
      chains_in_mem[put_queue_i] <= chains_in_mem[put_queue_i] + 8'd1;
      ready_q[put_queue_i]       <= 1'b1;
    end
    if (start_i) begin
      pop_mem[start_queue_i]        <= '0;
      chains_in_mem[start_queue_i]  <= '0;
      chains_out_mem[start_queue_i] <= '0;
      ready_q[start_queue_i]        <= 1'b0;
    end
    if (rst) ready_q <= '0;
  end
  wire unused = &{1'b0, put_count_i >> SlotW};
endmodule
`default_nettype wire
