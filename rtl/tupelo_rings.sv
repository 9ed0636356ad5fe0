// SPDX-License-Identifier: Apache-2.0
// tupelo_rings - the available side of every virtqueue: fetching, checking and caching descriptors
// Guarantees: see tupelo_desc_fetch, tupelo_indirect, tupelo_desc_unpack and tupelo_desc_cache, which it joins. Tables
//   are read before further descriptors of the rings.
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue.
`default_nettype none
module tupelo_rings
  import tupelo_pkg::*;
  import tupelo_rings_pkg::*;
#(
    parameter integer QUEUES     = 16,   // virtqueues, 2..128
    parameter integer DATA_W     = 512,  // bits, 128, 256, 512
    parameter integer DESC_CACHE = 64,   // descriptors cached a queue, a power of two 16..128
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire                     clk,
    input  wire                     rst,
    input  wire                     halt_i,
    input  wire                     event_idx_i,
    input  wire                     indirect_i,
    input  wire  [      QUEUES-1:0] active_i,
    input  wire                     start_i,
    input  wire  [       QidxW-1:0] start_queue_i,
    input  wire                     kick_i,
    input  wire  [       QidxW-1:0] kick_queue_i,
    output wire  [      QUEUES-1:0] awake_o,
    output wire  [      QUEUES-1:0] chain_ready_o,
    output wire                     grow_o,          // pulse: grow_queue_o has more whole chains cached
    output wire  [       QidxW-1:0] grow_queue_o,
    // queue table: for requests, for answers
    output wire  [1:0][  QidxW-1:0] cfg_queue_o,
    input  wire  queue_cfg_t [1:0]  cfg_i,
    // reads
    output wire                     ar_valid,
    input  wire                     ar_ready,
    output wire  [            63:0] ar_addr,
    output wire  [             8:0] ar_bytes,
    output wire  [       QidxW-1:0] ar_queue,
    input  wire                     r_valid,
    input  wire  [      DATA_W-1:0] r_data,
    input  wire                     r_err,
    // event structure writes
    output wire                     ew_valid,
    input  wire                     ew_ready,
    output wire  [       QidxW-1:0] ew_queue,
    output wire  [            31:0] ew_data,
    input  wire                     ewb_valid,
    input  wire  [       QidxW-1:0] ewb_queue,
    // transmit reader
    input  wire  [       QidxW-1:0] tx_queue_i,
    output wire  desc_t             tx_desc_o,
    output wire                     tx_indirect_o,  // its chain takes one slot of the ring
    output wire                     tx_valid_o,
    input  wire                     tx_pop_i,
    // receive reader
    input  wire  [       QidxW-1:0] rx_queue_i,
    input  wire  [             7:0] rx_offset_i,
    output wire  desc_t             rx_desc_o,
    output wire                     rx_indirect_o,
    output wire                     rx_valid_o,
    output wire  [             7:0] rx_level_o,      // descriptors of whole, filled chains from offset 0 on
    input  wire                     rx_pop_i,
    input  wire  [             7:0] rx_pop_descs_i,
    // window check, answered in the next cycle
    output wire                     chk_valid_o,
    output wire  [             5:0] chk_pair_o,
    output wire  [            63:0] chk_addr_o,
    output wire  [            31:0] chk_len_o,
    output wire                     chk_write_o,
    input  wire                     chk_ok_i,
    output wire  queue_error_t      error_o,
    output wire                     indirect_o,     // pulse: a table has been asked for
    // queue reset
    input  wire  [       QidxW-1:0] busy_queue_i,
    output wire                     busy_o
);
  localparam integer Bursts = 32;

  wire done, miss, miss_mid_chain, fail, no_room, full, took, dropping, broken;
  wire [QidxW-1:0] done_queue, accept_queue, room_queue, put_queue, tx_pop_queue, rx_pop_queue, fetch_queue;
  taken_t accept;
  wire [7:0] pop_count, room_count;
  wire put, reserve, table_room, fetch_valid, table_valid, note_ready, fetch_busy, table_busy;
  desc_t put_desc, tx_desc, rx_desc;
  table_t put_table;
  burst_t ring_burst, table_burst;
  wire [63:0] fetch_addr;
  wire [4:0] fetch_descs, came_descs;
  wire fetch_tables, likely_room, came;

  // Tables first: places in a cache wait for them.
  wire burst_t burst = table_valid ? table_burst : ring_burst;
  assign ring_burst = '{
      is_table: 1'b0,
      last: fetch_tables,
      vq: 7'(fetch_queue),
      pos: '0,
      id: '0,
      slot: '0,
      descs: fetch_descs,
      addr: fetch_addr
  };
  assign ar_valid = (table_valid || fetch_valid) && note_ready;
  assign ar_addr  = burst.addr;
  assign ar_bytes = {burst.descs, 4'd0};
  assign ar_queue = burst.vq[QidxW-1:0];
  assign busy_o   = fetch_busy || table_busy;
  assign grow_queue_o = put_queue;

  tupelo_desc_fetch #(
      .QUEUES    (QUEUES),
      .DESC_CACHE(DESC_CACHE)
  ) u_fetch (
      .clk             (clk),
      .rst             (rst),
      .halt_i          (halt_i),
      .event_idx_i     (event_idx_i),
      .active_i        (active_i),
      .start_i         (start_i),
      .start_queue_i   (start_queue_i),
      .kick_i          (kick_i),
      .kick_queue_i    (kick_queue_i),
      .awake_o         (awake_o),
      .cfg_queue_o     (cfg_queue_o[0]),
      .cfg_i           (cfg_i[0]),
      .ar_valid        (fetch_valid),
      .ar_ready        (ar_ready && note_ready && !table_valid),
      .ar_addr         (fetch_addr),
      .ar_descs        (fetch_descs),
      .ar_queue        (fetch_queue),
      .ar_tables       (fetch_tables),
      .likely_room_i   (likely_room),
      .done_i          (done),
      .done_queue_i    (done_queue),
      .miss_i          (miss),
      .miss_mid_chain_i(miss_mid_chain),
      .fail_i          (fail),
      .wait_i          (no_room),
      .full_i          (full),
      .took_i          (took),
      .took_queue_i    (done_queue),
      .broken_o        (broken),
      .accept_i        (accept),
      .pop_count_i     (pop_count),
      .accept_queue_o  (accept_queue),
      .chain_ready_i   (chain_ready_o),
      .free_i          (tx_pop_i),
      .free_queue_i    (tx_pop_queue),
      .free2_i         (rx_pop_i),
      .free2_queue_i   (rx_pop_queue),
      .dropping_o      (dropping),
      .ew_valid        (ew_valid),
      .ew_ready        (ew_ready),
      .ew_queue        (ew_queue),
      .ew_data         (ew_data),
      .ewb_valid       (ewb_valid),
      .ewb_queue       (ewb_queue),
      .busy_queue_i    (busy_queue_i),
      .busy_o          (fetch_busy)
  );

  tupelo_indirect u_indirect (
      .clk           (clk),
      .rst           (rst),
      .halt_i        (halt_i),
      .table_valid   (reserve),
      .table_i       (put_table),
      .table_room_o  (table_room),
      .expect_valid_i(ar_valid && ar_ready && !table_valid && fetch_tables),
      .expect_descs_i(fetch_descs),
      .came_valid_i  (came),
      .came_descs_i  (came_descs),
      .likely_room_o (likely_room),
      .burst_valid   (table_valid),
      .burst_ready   (ar_ready && note_ready),
      .burst_o       (table_burst),
      .fetched_o     (indirect_o)
  );

  tupelo_desc_unpack #(
      .QUEUES    (QUEUES),
      .DATA_W    (DATA_W),
      .DESC_CACHE(DESC_CACHE),
      .BURSTS    (Bursts)
  ) u_unpack (
      .clk             (clk),
      .rst             (rst),
      .indirect_i      (indirect_i),
      .active_i        (active_i),
      .start_i         (start_i),
      .start_queue_i   (start_queue_i),
      .req_valid       (ar_valid && ar_ready),
      .req_ready       (note_ready),
      .req_i           (burst),
      .r_valid         (r_valid),
      .r_data          (r_data),
      .r_err           (r_err),
      .cfg_queue_o     (cfg_queue_o[1]),
      .cfg_size_i      (cfg_i[1].size),
      .done_o          (done),
      .done_queue_o    (done_queue),
      .miss_o          (miss),
      .miss_mid_chain_o(miss_mid_chain),
      .fail_o          (fail),
      .wait_o          (no_room),
      .full_o          (full),
      .took_o          (took),
      .dropping_i      (dropping),
      .broken_i        (broken),
      .accept_queue_i  (accept_queue),
      .accept_o        (accept),
      .room_queue_o    (room_queue),
      .room_count_i    (room_count),
      .put_o           (put),
      .reserve_o       (reserve),
      .put_queue_o     (put_queue),
      .put_desc_o      (put_desc),
      .put_table_o     (put_table),
      .table_room_i    (table_room),
      .came_o          (came),
      .came_descs_o    (came_descs),
      .chk_valid_o     (chk_valid_o),
      .chk_pair_o      (chk_pair_o),
      .chk_addr_o      (chk_addr_o),
      .chk_len_o       (chk_len_o),
      .chk_write_o     (chk_write_o),
      .chk_ok_i        (chk_ok_i),
      .error_o         (error_o),
      .busy_queue_i    (busy_queue_i),
      .busy_o          (table_busy)
  );

  // To the readers, INDIRECT is a signal of its own.
  localparam desc_t Plain = '{flags: ~16'(1 << DescIndirect), id: '1, len: '1, addr: '1};
  assign tx_desc_o     = tx_desc & Plain;
  assign rx_desc_o     = rx_desc & Plain;
  assign tx_indirect_o = tx_desc.flags[DescIndirect];
  assign rx_indirect_o = rx_desc.flags[DescIndirect];

  tupelo_desc_cache #(
      .QUEUES    (QUEUES),
      .DESC_CACHE(DESC_CACHE)
  ) u_cache (
      .clk            (clk),
      .rst            (rst),
      .start_i        (start_i),
      .start_queue_i  (start_queue_i),
      .put_i          (put),
      .reserve_i      (reserve),
      .put_queue_i    (put_queue),
      .put_slot_i     (put_table.slot),
      .put_desc_i     (put_desc),
      .reserve_slots_i(put_table.entries),
      .chain_ready_o  (chain_ready_o),
      .grow_o         (grow_o),
      .count_queue_i  (accept_queue),
      .pop_count_o    (pop_count),
      .room_queue_i   (room_queue),
      .room_count_o   (room_count),
      .tx_queue_i     (tx_queue_i),
      .tx_desc_o      (tx_desc),
      .tx_valid_o     (tx_valid_o),
      .tx_pop_i       (tx_pop_i),
      .tx_pop_queue_o (tx_pop_queue),
      .rx_queue_i     (rx_queue_i),
      .rx_offset_i    (rx_offset_i),
      .rx_desc_o      (rx_desc),
      .rx_valid_o     (rx_valid_o),
      .rx_level_o     (rx_level_o),
      .rx_pop_i       (rx_pop_i),
      .rx_pop_descs_i (rx_pop_descs_i),
      .rx_pop_queue_o (rx_pop_queue)
  );
endmodule
`default_nettype wire
