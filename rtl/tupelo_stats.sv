// SPDX-License-Identifier: Apache-2.0
// tupelo_stats - 64-bit counters of the device and of each virtqueue
// Guarantees: no event is missed, one a cycle on each port; a read gives the value of the cycle in which it was asked,
//   one cycle later. Counters live through a device reset; rst clears them, a queue a cycle.
// Clock/reset: clk; rst synchronous, active high.
// Contract: indexes as in the register map (tupelo_regs_pkg STAT_*).
`default_nettype none
module tupelo_stats
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              rd_i,
    input  wire [      11:0] idx_i,
    output logic [     63:0] data_o,
    // transmit: a chain came to its end
    input  wire              tx_ended_i,
    input  wire [ QidxW-1:0] tx_queue_i,
    input  wire              tx_sent_i,
    input  wire [      13:0] tx_bytes_i,
    input  wire [       5:0] tx_drop_stat_i,
    input  wire [       8:0] tx_reset_drops_i,  // chains lost by a device reset
    // receive: a frame entered, was thrown away at the door, for want of buffers, or was delivered
    input  wire              rx_in_i,
    input  wire              rx_in_drop_i,
    input  wire [       5:0] rx_in_drop_stat_i,
    input  wire              rx_drop_i,
    input  wire [       5:0] rx_drop_stat_i,
    input  wire [ QidxW-1:0] rx_drop_queue_i,
    input  wire              rx_done_i,
    input  wire [ QidxW-1:0] rx_queue_i,
    input  wire [      13:0] rx_bytes_i,
    input  wire [      15:0] rx_reset_drops_i,
    // per queue
    input  wire              used_i,
    input  wire [ QidxW-1:0] used_queue_i,
    input  wire [       2:0] used_count_i,
    input  wire              irq_i,
    input  wire [ QidxW-1:0] irq_queue_i,
    input  wire              kick_i,
    input  wire [ QidxW-1:0] kick_queue_i,
    input  wire              event_read_i,
    input  wire [ QidxW-1:0] event_read_queue_i,
    input  wire              fetch_i,
    input  wire [ QidxW-1:0] fetch_queue_i,
    // device
    input  wire              msix_i,
    input  wire              read_error_i,
    input  wire              write_error_i
);
  localparam integer Globals = 22;
  localparam integer Kinds = 8;

  logic [63:0] global_mem[Globals];
  logic [63:0] frames_mem[QUEUES], bytes_mem[QUEUES], used_mem[QUEUES], irq_mem[QUEUES];
  logic [63:0] kick_mem[QUEUES], drop_mem[QUEUES], event_mem[QUEUES], fetch_mem[QUEUES];
  logic [QidxW:0] clear_q;
  wire clearing = !clear_q[QidxW];
  wire [QidxW-1:0] clear_queue = clear_q[QidxW-1:0];

  // Transmit queues are odd and receive queues even, so two events of a kind never meet in one counter.
  wire [11:0] per_queue = idx_i - 12'(STAT_QUEUE_BASE);
  wire [QidxW-1:0] rd_queue = per_queue[3+:QidxW];

  always_ff @(posedge clk) begin
    if (rd_i) begin
      data_o <= '0;
      if (idx_i < 12'(Globals)) data_o <= global_mem[idx_i[4:0]];
      else if (idx_i >= 12'(STAT_QUEUE_BASE) && per_queue < 12'(QUEUES * Kinds)) begin
        unique case (per_queue[2:0])
          3'(STAT_QUEUE_FRAMES): data_o <= frames_mem[rd_queue];
          3'(STAT_QUEUE_BYTES): data_o <= bytes_mem[rd_queue];
          3'(STAT_QUEUE_USED_DESCRIPTORS): data_o <= used_mem[rd_queue];
          3'(STAT_QUEUE_INTERRUPTS): data_o <= irq_mem[rd_queue];
          3'(STAT_QUEUE_KICKS): data_o <= kick_mem[rd_queue];
          3'(STAT_QUEUE_DROPS): data_o <= drop_mem[rd_queue];
          3'(STAT_QUEUE_EVENT_READS): data_o <= event_mem[rd_queue];
          default: data_o <= fetch_mem[rd_queue];
        endcase
      end
    end

    if (tx_ended_i && tx_sent_i) begin
      global_mem[STAT_TX_FRAMES] <= global_mem[STAT_TX_FRAMES] + 64'd1;
      global_mem[STAT_TX_BYTES]  <= global_mem[STAT_TX_BYTES] + 64'(tx_bytes_i);
      frames_mem[tx_queue_i]     <= frames_mem[tx_queue_i] + 64'd1;
      bytes_mem[tx_queue_i]      <= bytes_mem[tx_queue_i] + 64'(tx_bytes_i);
    end
    if (tx_ended_i && !tx_sent_i) begin
      global_mem[tx_drop_stat_i[4:0]] <= global_mem[tx_drop_stat_i[4:0]] + 64'd1;
      drop_mem[tx_queue_i] <= drop_mem[tx_queue_i] + 64'd1;
    end
    if (tx_reset_drops_i != '0)
      global_mem[STAT_TX_DROP_RESET] <= global_mem[STAT_TX_DROP_RESET] + 64'(tx_reset_drops_i);

    // The door and the buffers have counters of their own, only drops by reset are shared.
    if (rx_in_i) global_mem[STAT_RX_WIRE_FRAMES] <= global_mem[STAT_RX_WIRE_FRAMES] + 64'd1;
    if (rx_in_drop_i && rx_in_drop_stat_i != 6'(STAT_RX_DROP_RESET))
      global_mem[rx_in_drop_stat_i[4:0]] <= global_mem[rx_in_drop_stat_i[4:0]] + 64'd1;
    if (rx_reset_drops_i != '0 || (rx_in_drop_i && rx_in_drop_stat_i == 6'(STAT_RX_DROP_RESET)))
      global_mem[STAT_RX_DROP_RESET] <= global_mem[STAT_RX_DROP_RESET] + 64'(rx_reset_drops_i)
          + 64'(rx_in_drop_i && rx_in_drop_stat_i == 6'(STAT_RX_DROP_RESET));
    if (rx_drop_i) begin
      global_mem[rx_drop_stat_i[4:0]] <= global_mem[rx_drop_stat_i[4:0]] + 64'd1;
      drop_mem[rx_drop_queue_i] <= drop_mem[rx_drop_queue_i] + 64'd1;
    end
    if (rx_done_i) begin
      global_mem[STAT_RX_FRAMES] <= global_mem[STAT_RX_FRAMES] + 64'd1;
      global_mem[STAT_RX_BYTES]  <= global_mem[STAT_RX_BYTES] + 64'(rx_bytes_i);
      frames_mem[rx_queue_i]     <= frames_mem[rx_queue_i] + 64'd1;
      bytes_mem[rx_queue_i]      <= bytes_mem[rx_queue_i] + 64'(rx_bytes_i);
    end

    if (used_i) used_mem[used_queue_i] <= used_mem[used_queue_i] + 64'(used_count_i);
    if (irq_i) irq_mem[irq_queue_i] <= irq_mem[irq_queue_i] + 64'd1;
    if (kick_i) kick_mem[kick_queue_i] <= kick_mem[kick_queue_i] + 64'd1;
    if (event_read_i) event_mem[event_read_queue_i] <= event_mem[event_read_queue_i] + 64'd1;
    if (fetch_i) begin
      fetch_mem[fetch_queue_i] <= fetch_mem[fetch_queue_i] + 64'd1;
      global_mem[STAT_DESC_FETCHES] <= global_mem[STAT_DESC_FETCHES] + 64'd1;
    end
    if (msix_i) global_mem[STAT_MSIX_SENT] <= global_mem[STAT_MSIX_SENT] + 64'd1;
    if (read_error_i) global_mem[STAT_DMA_READ_ERRORS] <= global_mem[STAT_DMA_READ_ERRORS] + 64'd1;
    if (write_error_i) global_mem[STAT_DMA_WRITE_ERRORS] <= global_mem[STAT_DMA_WRITE_ERRORS] + 64'd1;

    if (clearing) begin
      clear_q <= clear_q + 1'b1;
      frames_mem[clear_queue] <= '0;
      bytes_mem[clear_queue]  <= '0;
      used_mem[clear_queue]   <= '0;
      irq_mem[clear_queue]    <= '0;
      kick_mem[clear_queue]   <= '0;
      drop_mem[clear_queue]   <= '0;
      event_mem[clear_queue]  <= '0;
      fetch_mem[clear_queue]  <= '0;
    end
    if (rst) begin
      clear_q <= '0;
      for (int i = 0; i < Globals; i++) global_mem[i] <= '0;
    end
  end
  wire unused = &{1'b0, tx_drop_stat_i[5], rx_drop_stat_i[5]};
endmodule
`default_nettype wire
