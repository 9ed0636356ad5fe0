// SPDX-License-Identifier: Apache-2.0
// tupelo_complete - the used side of every virtqueue: used descriptors, then the driver's wish for an interrupt
// Guarantees: see tupelo_used and tupelo_event, which it joins; transmit and receive completions take turns.
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue.
`default_nettype none
module tupelo_complete
  import tupelo_pkg::*;
#(
    parameter integer QUEUES = 16,   // virtqueues, 2..128
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire                     clk,
    input  wire                     rst,
    input  wire                     halt_i,
    input  wire                     event_idx_i,
    input  wire                     start_i,
    input  wire  [       QidxW-1:0] start_queue_i,
    input  wire                     tx_comp_valid,
    output wire                     tx_comp_ready,
    input  wire  completion_t       tx_comp_i,
    input  wire                     rx_comp_valid,
    output wire                     rx_comp_ready,
    input  wire  completion_t       rx_comp_i,
    input  wire                     rx_more_i,          // the frame goes on in the next chain
    input  wire                     loaded_i,           // the write master has frame data to write
    // queue table: for used descriptors, for event reads, for their answers
    output wire  [2:0][  QidxW-1:0] cfg_queue_o,
    input  wire  queue_cfg_t [2:0]  cfg_i,
    // used descriptors
    output wire                     used_valid,
    input  wire                     used_ready,
    output wire  [       QidxW-1:0] used_queue,
    output wire  [            63:0] used_addr,
    output wire  [      DATA_W-1:0] used_data,
    output wire  [    DATA_W/8-1:0] used_strb,
    output wire  ring_pos_t         used_pos,
    output wire                     used_quiet,         // more of the frame comes: not to be told of yet
    output wire  [             2:0] used_count,
    input  wire                     used_done_i,
    input  wire  [       QidxW-1:0] used_done_queue_i,
    input  wire  ring_pos_t         used_done_pos_i,
    // event reads
    output wire                     ar_valid,
    input  wire                     ar_ready,
    output wire  [            63:0] ar_addr,
    output wire  [       QidxW-1:0] ar_queue,
    input  wire                     r_valid,
    input  wire  [      DATA_W-1:0] r_data,
    input  wire                     r_err,
    // interrupts
    output wire                     irq_valid,
    input  wire                     irq_ready,
    output wire  [            15:0] irq_vector,
    output wire  [       QidxW-1:0] irq_queue,
    output wire  [            15:0] irq_count,
    output wire  queue_error_t      error_o,
    // queue reset
    input  wire  [       QidxW-1:0] busy_queue_i,
    output wire                     busy_o
);
  logic turn_q;  // receive is next
  wire comp_valid = tx_comp_valid || rx_comp_valid;
  wire receive = rx_comp_valid && (turn_q || !tx_comp_valid);
  wire comp_ready;
  wire used_busy, event_busy;

  assign rx_comp_ready = comp_ready && receive;
  assign tx_comp_ready = comp_ready && !receive;

  always_ff @(posedge clk) begin
    if (comp_valid && comp_ready) turn_q <= !receive;
    if (rst) turn_q <= 1'b0;
  end

  tupelo_used #(
      .QUEUES(QUEUES),
      .DATA_W(DATA_W)
  ) u_used (
      .clk          (clk),
      .rst          (rst),
      .start_i      (start_i),
      .start_queue_i(start_queue_i),
      .s_valid      (comp_valid),
      .s_ready      (comp_ready),
      .loaded_i     (loaded_i),
      .s_comp       (receive ? rx_comp_i : tx_comp_i),
      .s_more_i     (receive && rx_more_i),
      .cfg_queue_o  (cfg_queue_o[0]),
      .cfg_i        (cfg_i[0]),
      .m_valid      (used_valid),
      .m_ready      (used_ready),
      .m_queue      (used_queue),
      .m_addr       (used_addr),
      .m_data       (used_data),
      .m_strb       (used_strb),
      .m_pos        (used_pos),
      .m_quiet      (used_quiet),
      .m_count      (used_count),
      .busy_queue_i (busy_queue_i),
      .busy_o       (used_busy)
  );

  tupelo_event #(
      .QUEUES(QUEUES),
      .DATA_W(DATA_W)
  ) u_event (
      .clk          (clk),
      .rst          (rst),
      .halt_i       (halt_i),
      .event_idx_i  (event_idx_i),
      .start_i      (start_i),
      .start_queue_i(start_queue_i),
      .used_done_i  (used_done_i),
      .used_queue_i (used_done_queue_i),
      .used_pos_i   (used_done_pos_i),
      .cfg_queue_o  (cfg_queue_o[1]),
      .cfg_i        (cfg_i[1]),
      .cfg2_queue_o (cfg_queue_o[2]),
      .cfg2_i       (cfg_i[2]),
      .ar_valid     (ar_valid),
      .ar_ready     (ar_ready),
      .ar_addr      (ar_addr),
      .ar_queue     (ar_queue),
      .r_valid      (r_valid),
      .r_data       (r_data),
      .r_err        (r_err),
      .irq_valid    (irq_valid),
      .irq_ready    (irq_ready),
      .irq_vector   (irq_vector),
      .irq_queue    (irq_queue),
      .irq_count    (irq_count),
      .error_o      (error_o),
      .busy_queue_i (busy_queue_i),
      .busy_o       (event_busy)
  );
  assign busy_o = used_busy || event_busy;
endmodule
`default_nettype wire
