// SPDX-License-Identifier: Apache-2.0
// tupelo_rings - the available side of every virtqueue: fetching, checking and caching descriptors
// Guarantees: see tupelo_desc_fetch, tupelo_desc_unpack and tupelo_desc_cache, which it joins.
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue.
`default_nettype none
module tupelo_rings
  import tupelo_pkg::*;
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
    input  wire  [      QUEUES-1:0] active_i,
    input  wire                     start_i,
    input  wire  [       QidxW-1:0] start_queue_i,
    input  wire                     kick_i,
    input  wire  [       QidxW-1:0] kick_queue_i,
    output wire  [      QUEUES-1:0] awake_o,
    output wire  [      QUEUES-1:0] chain_ready_o,
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
    input  wire                     tx_pop_i,
    input  wire                     tx_chain_end_i,
    // receive reader
    input  wire  [       QidxW-1:0] rx_queue_i,
    input  wire  [             7:0] rx_offset_i,
    output wire  desc_t             rx_desc_o,
    input  wire                     rx_pop_i,
    input  wire  [             7:0] rx_pop_descs_i,
    output wire  queue_error_t      error_o,
    // queue reset
    input  wire  [       QidxW-1:0] busy_queue_i,
    output wire                     busy_o
);
  localparam integer Bursts = 32;

  wire done, miss, miss_mid_chain, fail, full, took, dropping, broken;
  wire [QidxW-1:0] done_queue, accept_queue;
  ring_pos_t accept_pos;
  wire [7:0] accept_count, pop_count, put_count;
  wire put, put_chain_end;
  desc_t put_desc;
  wire [4:0] ar_descs;
  wire fetch_valid, note_ready;
  wire fetch_fire = fetch_valid && ar_ready && note_ready;

  assign ar_valid = fetch_valid && note_ready;
  assign ar_bytes = {ar_descs, 4'd0};

  tupelo_desc_fetch #(
      .QUEUES    (QUEUES),
      .DESC_CACHE(DESC_CACHE),
      .BURSTS    (Bursts)
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
      .ar_ready        (ar_ready && note_ready),
      .ar_addr         (ar_addr),
      .ar_descs        (ar_descs),
      .ar_queue        (ar_queue),
      .done_i          (done),
      .done_queue_i    (done_queue),
      .miss_i          (miss),
      .miss_mid_chain_i(miss_mid_chain),
      .fail_i          (fail),
      .full_i          (full),
      .took_i          (took),
      .took_queue_i    (done_queue),
      .broken_o        (broken),
      .accept_pos_i    (accept_pos),
      .accept_count_i  (accept_count),
      .pop_count_i     (pop_count),
      .chain_ready_i   (chain_ready_o),
      .accept_queue_o  (accept_queue),
      .free_i          (tx_pop_i),
      .free_queue_i    (tx_queue_i),
      .free2_i         (rx_pop_i),
      .free2_queue_i   (rx_queue_i),
      .dropping_o      (dropping),
      .ew_valid        (ew_valid),
      .ew_ready        (ew_ready),
      .ew_queue        (ew_queue),
      .ew_data         (ew_data),
      .ewb_valid       (ewb_valid),
      .ewb_queue       (ewb_queue),
      .busy_queue_i    (busy_queue_i),
      .busy_o          (busy_o)
  );

  tupelo_desc_unpack #(
      .QUEUES    (QUEUES),
      .DATA_W    (DATA_W),
      .DESC_CACHE(DESC_CACHE),
      .BURSTS    (Bursts)
  ) u_unpack (
      .clk             (clk),
      .rst             (rst),
      .active_i        (active_i),
      .start_i         (start_i),
      .start_queue_i   (start_queue_i),
      .req_valid       (fetch_fire),
      .req_ready       (note_ready),
      .req_queue       (ar_queue),
      .req_addr        (ar_addr),
      .req_descs       (ar_descs),
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
      .full_o          (full),
      .took_o          (took),
      .dropping_i      (dropping),
      .broken_i        (broken),
      .accept_queue_i  (accept_queue),
      .accept_pos_o    (accept_pos),
      .accept_count_o  (accept_count),
      .put_o           (put),
      .put_count_o     (put_count),
      .put_desc_o      (put_desc),
      .put_chain_end_o (put_chain_end),
      .error_o         (error_o)
  );

  tupelo_desc_cache #(
      .QUEUES    (QUEUES),
      .DESC_CACHE(DESC_CACHE)
  ) u_cache (
      .clk            (clk),
      .rst            (rst),
      .start_i        (start_i),
      .start_queue_i  (start_queue_i),
      .put_i          (put),
      .put_queue_i    (done_queue),
      .put_count_i    (put_count),
      .put_desc_i     (put_desc),
      .put_chain_end_i(put_chain_end),
      .chain_ready_o  (chain_ready_o),
      .count_queue_i  (accept_queue),
      .pop_count_o    (pop_count),
      .tx_queue_i     (tx_queue_i),
      .tx_desc_o      (tx_desc_o),
      .tx_pop_i       (tx_pop_i),
      .tx_chain_end_i (tx_chain_end_i),
      .rx_queue_i     (rx_queue_i),
      .rx_offset_i    (rx_offset_i),
      .rx_desc_o      (rx_desc_o),
      .rx_pop_i       (rx_pop_i),
      .rx_pop_descs_i (rx_pop_descs_i)
  );
endmodule
`default_nettype wire
