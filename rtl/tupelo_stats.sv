// SPDX-License-Identifier: Apache-2.0
// tupelo_stats - 64-bit counters of the device and of each virtqueue
// Guarantees: no event is missed, one a cycle on each port; a read gives the value of the cycle in which it was asked,
//   one cycle later. After snapshot_i (a pulse) all reads give the values of one cycle, until live_i; counting goes on.
//   Counters live through a device reset; rst clears them.
// Clock/reset: clk; rst synchronous, active high.
// Contract: indexes as in the register map (tupelo_regs_pkg STAT_*).
//   rx_class_i has at most one of flow, listener, any, rss and host, and at most one of csum_ok and csum_bad.
// How: what has one event a cycle lies in memories: drops by reason, what steered a frame, what is counted for a queue;
//   the rest are banks of one counter. Transmit queues are odd and receive queues even, each half has its own memories.
`default_nettype none
module tupelo_stats
  import tupelo_pkg::*;
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
    input  wire              snapshot_i,
    input  wire              live_i,
    // transmit: a frame left; a chain came to its end
    input  wire              tx_out_i,
    input  wire [ QidxW-1:0] tx_out_queue_i,
    input  wire [      13:0] tx_out_bytes_i,
    input  wire              tx_fate_i,
    input  wire tx_fate_t    fate_i,
    input  wire [       8:0] tx_reset_drops_i,  // chains lost by a device reset
    // receive: a frame entered, was thrown away at the door, was classified, was dropped later, or was delivered
    input  wire              rx_in_i,
    input  wire              rx_in_drop_i,
    input  wire [       5:0] rx_in_drop_stat_i,
    input  wire rx_class_stat_t rx_class_i,
    input  wire              rx_drop_i,
    input  wire [       5:0] rx_drop_stat_i,
    input  wire [ QidxW-1:0] rx_drop_queue_i,
    input  wire              rx_done_i,
    input  wire [ QidxW-1:0] rx_queue_i,
    input  wire [      13:0] rx_bytes_i,
    input  wire              rx_buffer_i,       // a chain was filled
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
    input  wire              indirect_i,
    input  wire              moderated_i,
    input  wire              msix_i,
    input  wire              read_error_i,
    input  wire              write_error_i
);
  localparam integer Kinds = 8;
  localparam integer Halves = 2;  // receive, transmit
  localparam integer Pairs = QUEUES / 2;
  localparam integer PairW = Pairs > 1 ? $clog2(Pairs) : 1;

  logic hold_q;
  always_ff @(posedge clk) begin
    if (live_i || rst) hold_q <= 1'b0;
    else if (snapshot_i) hold_q <= 1'b1;
  end

  // ---- single counters
  localparam integer Singles = 20;
  localparam int Index[Singles] = '{
      STAT_TX_FRAMES, STAT_TX_BYTES, STAT_RX_FRAMES, STAT_RX_BYTES, STAT_RX_WIRE_FRAMES, STAT_MSIX_SENT,
      STAT_DESC_FETCHES, STAT_DMA_READ_ERRORS, STAT_DMA_WRITE_ERRORS, STAT_RX_DROP_RESET, STAT_TX_DROP_RESET,
      STAT_RX_MALFORMED, STAT_RX_FRAGMENTS, STAT_TX_CSUM_FRAMES, STAT_TX_TSO_FRAMES, STAT_TX_TSO_SEGMENTS,
      STAT_RX_BUFFERS, STAT_INDIRECT_TABLES, STAT_TX_CHAINS, STAT_IRQ_MODERATED
  };
  // The receive door's drops by reset come with those of the datapath: both may fall into one cycle.
  wire in_reset = rx_in_drop_i && rx_in_drop_stat_i == 6'(STAT_RX_DROP_RESET);
  // A chain that was dropped between two of its segments has segments and is no chain sent.
  wire tso_end = tx_fate_i && fate_i.tso;
  wire [Singles-1:0] hit = {
    moderated_i, tx_fate_i, indirect_i, rx_buffer_i, tso_end, tso_end && fate_i.sent,
    tx_fate_i && fate_i.csum && fate_i.sent,
    rx_class_i.fragment, rx_class_i.malformed, tx_reset_drops_i != '0,
    rx_reset_drops_i != '0 || in_reset, write_error_i, read_error_i, fetch_i, msix_i, rx_in_i, rx_done_i, rx_done_i,
    tx_out_i, tx_out_i
  };
  wire [63:0] single[Singles];
  for (genvar i = 0; i < Singles; i++) begin : gen_single
    logic [16:0] add;
    always_comb begin
      case (Index[i])
        STAT_TX_BYTES: add = 17'(tx_out_bytes_i);
        STAT_RX_BYTES: add = 17'(rx_bytes_i);
        STAT_RX_DROP_RESET: add = 17'(rx_reset_drops_i) + 17'(in_reset);
        STAT_TX_DROP_RESET: add = 17'(tx_reset_drops_i);
        STAT_TX_TSO_SEGMENTS: add = 17'(fate_i.frames);
        default: add = 17'd1;
      endcase
    end
    tupelo_stat_bank #(
        .N    (1),
        .ADD_W(17)
    ) u_bank (
        .clk      (clk),
        .rst      (rst),
        .snap_i   (snapshot_i),
        .hold_i   (hold_q),
        .valid_i  (hit[i]),
        .idx_i    (1'b0),
        .add_i    (add),
        .rd_idx_i (1'b0),
        .rd_data_o(single[i])
    );
  end

  // ---- one of several reasons: drops where they happen, what steered a frame, what its checksum was
  localparam integer Places = 5;
  localparam int Reasons[Places] = '{16, 32, 64, 32, 32};  // above the largest index of the place
  wire steered = rx_class_i.flow || rx_class_i.listener || rx_class_i.any || rx_class_i.rss || rx_class_i.host;
  logic [5:0] steer;
  always_comb begin
    steer = 6'(STAT_RX_STEER_HOST);
    if (rx_class_i.flow) steer = 6'(STAT_RX_STEER_FLOW);
    if (rx_class_i.listener) steer = 6'(STAT_RX_STEER_LISTENER);
    if (rx_class_i.any) steer = 6'(STAT_RX_STEER_ANY);
    if (rx_class_i.rss) steer = 6'(STAT_RX_STEER_RSS);
  end
  wire [Places-1:0] place = {
    rx_class_i.csum_ok || rx_class_i.csum_bad,
    steered,
    tx_fate_i && !fate_i.sent,
    rx_drop_i,
    rx_in_drop_i && !in_reset
  };
  wire [Places-1:0][5:0] reason = {
    rx_class_i.csum_ok ? 6'(STAT_RX_CSUM_OK) : 6'(STAT_RX_CSUM_BAD),
    steer,
    fate_i.drop_stat,
    rx_drop_stat_i,
    rx_in_drop_stat_i
  };
  logic [63:0] by_reason;
  wire [Places-1:0][63:0] of_place;
  for (genvar i = 0; i < Places; i++) begin : gen_place
    localparam integer ReasonW = $clog2(Reasons[i]);
    wire [63:0] count;
    tupelo_stat_bank #(
        .N    (Reasons[i]),
        .ADD_W(1)
    ) u_bank (
        .clk      (clk),
        .rst      (rst),
        .snap_i   (snapshot_i),
        .hold_i   (hold_q),
        .valid_i  (place[i]),
        .idx_i    (reason[i][ReasonW-1:0]),
        .add_i    (1'b1),
        .rd_idx_i (idx_i[ReasonW-1:0]),
        .rd_data_o(count)
    );
    assign of_place[i] = idx_i < 12'(Reasons[i]) ? count : 64'd0;
  end
  always_comb begin
    by_reason = '0;  // a reason belongs to one place
    for (int i = 0; i < Places; i++) by_reason |= of_place[i];
  end

  // ---- of a virtqueue
  wire [11:0] per_queue = idx_i - 12'(STAT_QUEUE_BASE);
  wire [QidxW-1:0] rd_queue = per_queue[3+:QidxW];
  wire [2:0] rd_kind = per_queue[2:0];
  wire [PairW-1:0] rd_pair = PairW'(rd_queue >> 1);

  wire [PairW-1:0] tx_out_pair = PairW'(tx_out_queue_i >> 1);
  wire [PairW-1:0] fate_pair = PairW'(fate_i.vq >> 1);
  wire [PairW-1:0] rx_pair = PairW'(rx_queue_i >> 1);
  wire [PairW-1:0] rx_drop_pair = PairW'(rx_drop_queue_i >> 1);
  wire [Halves-1:0][63:0] frames, bytes, drops;

  for (genvar h = 0; h < Halves; h++) begin : gen_half
    tupelo_stat_bank #(
        .N    (Pairs),
        .ADD_W(1)
    ) u_frames (
        .clk      (clk),
        .rst      (rst),
        .snap_i   (snapshot_i),
        .hold_i   (hold_q),
        .valid_i  (h == 1 ? tx_out_i : rx_done_i),
        .idx_i    (h == 1 ? tx_out_pair : rx_pair),
        .add_i    (1'b1),
        .rd_idx_i (rd_pair),
        .rd_data_o(frames[h])
    );
    tupelo_stat_bank #(
        .N    (Pairs),
        .ADD_W(14)
    ) u_bytes (
        .clk      (clk),
        .rst      (rst),
        .snap_i   (snapshot_i),
        .hold_i   (hold_q),
        .valid_i  (h == 1 ? tx_out_i : rx_done_i),
        .idx_i    (h == 1 ? tx_out_pair : rx_pair),
        .add_i    (h == 1 ? tx_out_bytes_i : rx_bytes_i),
        .rd_idx_i (rd_pair),
        .rd_data_o(bytes[h])
    );
    tupelo_stat_bank #(
        .N    (Pairs),
        .ADD_W(1)
    ) u_drops (
        .clk      (clk),
        .rst      (rst),
        .snap_i   (snapshot_i),
        .hold_i   (hold_q),
        .valid_i  (h == 1 ? tx_fate_i && !fate_i.sent : rx_drop_i),
        .idx_i    (h == 1 ? fate_pair : rx_drop_pair),
        .add_i    (1'b1),
        .rd_idx_i (rd_pair),
        .rd_data_o(drops[h])
    );
  end

  // Kinds that any queue may have, one queue a cycle.
  localparam integer Shared = 5;
  wire [Shared-1:0] shared_hit = {fetch_i, event_read_i, kick_i, irq_i, used_i};
  wire [Shared-1:0][QidxW-1:0] shared_queue = {
    fetch_queue_i, event_read_queue_i, kick_queue_i, irq_queue_i, used_queue_i
  };
  wire [Shared-1:0][63:0] shared;
  for (genvar i = 0; i < Shared; i++) begin : gen_shared
    tupelo_stat_bank #(
        .N    (QUEUES),
        .ADD_W(3)
    ) u_bank (
        .clk      (clk),
        .rst      (rst),
        .snap_i   (snapshot_i),
        .hold_i   (hold_q),
        .valid_i  (shared_hit[i]),
        .idx_i    (shared_queue[i]),
        .add_i    (i == 0 ? used_count_i : 3'd1),
        .rd_idx_i (rd_queue),
        .rd_data_o(shared[i])
    );
  end

  always_ff @(posedge clk) begin
    if (rd_i) begin
      data_o <= '0;
      if (idx_i < 12'(STAT_QUEUE_BASE)) begin
        data_o <= by_reason;
        for (int i = 0; i < Singles; i++) if (idx_i == 12'(Index[i])) data_o <= single[i];
      end else if (per_queue < 12'(QUEUES * Kinds)) begin
        unique case (rd_kind)
          3'(STAT_QUEUE_FRAMES): data_o <= frames[rd_queue[0]];
          3'(STAT_QUEUE_BYTES): data_o <= bytes[rd_queue[0]];
          3'(STAT_QUEUE_USED_DESCRIPTORS): data_o <= shared[0];
          3'(STAT_QUEUE_INTERRUPTS): data_o <= shared[1];
          3'(STAT_QUEUE_KICKS): data_o <= shared[2];
          3'(STAT_QUEUE_DROPS): data_o <= drops[rd_queue[0]];
          3'(STAT_QUEUE_EVENT_READS): data_o <= shared[3];
          default: data_o <= shared[4];
        endcase
      end
    end
  end
`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && !$onehot0({rx_class_i.flow, rx_class_i.listener, rx_class_i.any, rx_class_i.rss, rx_class_i.host}))
      $fatal(1, "%m steer: a frame was steered twice at %0t", $time);
    if (!rst && rx_class_i.csum_ok && rx_class_i.csum_bad) $fatal(1, "%m sum: right and wrong at %0t", $time);
  end
`endif
  wire unused = &{1'b0, reason, fate_i.bytes, fate_i.repeated, fate_i.vq, tx_out_queue_i, rx_queue_i, rx_drop_queue_i};
endmodule
`default_nettype wire
