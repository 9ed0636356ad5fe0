// SPDX-License-Identifier: Apache-2.0
// tupelo_bar_vendor - vendor block: identity, parameters, MSI-X control, queue error window, feature mask
// Guarantees: reads of the window show the queue in vq_select at the moment of the read; a queue that does not
//   exist reads 0.
// Clock/reset: clk; rst synchronous, active high; clear_i (device reset done) returns vq_select to 0 and leaves
//   msix_control, feature_enable and stat_snapshot alone, as a virtio reset leaves PCI configuration alone.
// Contract: vsel_*_i answer vsel_queue_o in the same cycle.
// Spec: docs/registers.md, block `vendor`. Limits: 32-bit halves of 64-bit values are not latched together.
`default_nettype none
module tupelo_bar_vendor
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUE_PAIRS = 8,  // 1..64
    parameter integer DATA_W = 512,  // bits, 128, 256 or 512
    parameter integer QUEUE_SIZE_MAX = 1024,  // descriptors, 2..32768
    parameter integer RD_SLOTS = 128,  // outstanding data reads, 4..128
    parameter integer DESC_CACHE = 64,  // descriptors prefetched a queue
    localparam integer QUEUES = 2 * QUEUE_PAIRS,
    localparam integer QIDX_W = $clog2(QUEUES)
) (
    input  wire                                     clk,
    input  wire                                     rst,
    input  tupelo_axil_pkg::axil_bus_t              bus_i,
    output logic                       [      31:0] rd_data_o,
    input  wire                                     clear_i,
    output logic                                    msix_enable_o,
    output logic                                    msix_function_mask_o,
    output wire                        [QIDX_W-1:0] vsel_queue_o,
    input  wire                                     vsel_enabled_i,
    input  wire                                     vsel_resetting_i,
    input  wire                                     vsel_stopped_i,
    input  wire                        [       7:0] vsel_reason_i,
    input  wire                        [      63:0] vsel_addr_i,
    input  wire                        [      31:0] vsel_pos_i,
    input  wire                        [QUEUES-1:0] q_stopped_i,
    input  wire                        [      31:0] bad_count_i,
    input  wire                        [      31:0] bad_last_i,
    input  wire                        [      63:0] features_i,
    output logic                       [      63:0] feature_enable_o,
    output wire                                     snapshot_o,            // pulses of stat_snapshot
    output wire                                     live_o
);
  localparam integer BlockBits = 8;  // the block is 256 bytes

  logic [15:0] select_q;
  logic hold_q;

  wire exists = select_q < 16'(QUEUES);
  wire wr_hit = bus_i.wr_p && bus_i.wr_addr[17:BlockBits] == BASE_VENDOR[17:BlockBits];
  wire rd_hit = bus_i.rd_addr[17:BlockBits] == BASE_VENDOR[17:BlockBits];
  wire [5:0] wr_word = bus_i.wr_addr[7:2];
  wire [5:0] rd_word = bus_i.rd_addr[7:2];
  wire [127:0] stopped = 128'(q_stopped_i);

  wire wr_snapshot = wr_hit && wr_word == REG_VENDOR_STAT_SNAPSHOT[7:2] && bus_i.wr_strb[0];
  wire wr_hold = bus_i.wr_data[VENDOR_STAT_SNAPSHOT_HOLD_LSB];

  assign snapshot_o = wr_snapshot && wr_hold;
  assign live_o = wr_snapshot && !wr_hold;
  assign vsel_queue_o = exists ? select_q[QIDX_W-1:0] : '0;

  always_ff @(posedge clk) begin
    if (wr_hit && wr_word == REG_VENDOR_VQ_SELECT[7:2]) begin
      if (bus_i.wr_strb[0]) select_q[7:0] <= bus_i.wr_data[7:0];
      if (bus_i.wr_strb[1]) select_q[15:8] <= bus_i.wr_data[15:8];
    end
    if (wr_hit && wr_word == REG_VENDOR_MSIX_CONTROL[7:2] && bus_i.wr_strb[1]) begin
      msix_enable_o        <= bus_i.wr_data[VENDOR_MSIX_CONTROL_ENABLE_LSB];
      msix_function_mask_o <= bus_i.wr_data[VENDOR_MSIX_CONTROL_FUNCTION_MASK_LSB];
    end
    if (wr_hit && wr_word == REG_VENDOR_FEATURE_ENABLE[7:2])
      feature_enable_o[31:0] <= tupelo_axil_pkg::merge(
          feature_enable_o[31:0], bus_i.wr_data, bus_i.wr_strb
      ) & FEATURES_OFFERED[31:0];
    if (wr_hit && wr_word == REG_VENDOR_FEATURE_ENABLE[7:2] + 6'd1)
      feature_enable_o[63:32] <= tupelo_axil_pkg::merge(
          feature_enable_o[63:32], bus_i.wr_data, bus_i.wr_strb
      ) & FEATURES_OFFERED[63:32];
    if (wr_snapshot) hold_q <= wr_hold;
    if (rst || clear_i) select_q <= RESET_VENDOR_VQ_SELECT[15:0];
    if (rst) begin
      {msix_enable_o, msix_function_mask_o} <= 2'b00;
      feature_enable_o <= RESET_VENDOR_FEATURE_ENABLE;
      hold_q <= RESET_VENDOR_STAT_SNAPSHOT[VENDOR_STAT_SNAPSHOT_HOLD_LSB];
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_hit) begin
        case (rd_word)
          REG_VENDOR_MAGIC[7:2]: rd_data_o <= RESET_VENDOR_MAGIC;
          REG_VENDOR_VERSION[7:2]: rd_data_o <= RESET_VENDOR_VERSION;
          REG_VENDOR_QUEUE_PAIRS[7:2]: rd_data_o <= 32'(QUEUE_PAIRS);
          REG_VENDOR_DATA_W[7:2]: rd_data_o <= 32'(DATA_W);
          REG_VENDOR_QUEUE_SIZE_MAX[7:2]: rd_data_o <= 32'(QUEUE_SIZE_MAX);
          REG_VENDOR_RD_SLOTS[7:2]: rd_data_o <= 32'(RD_SLOTS);
          REG_VENDOR_DESC_CACHE[7:2]: rd_data_o <= 32'(DESC_CACHE);
          REG_VENDOR_VECTORS[7:2]: rd_data_o <= 32'(QUEUES + 1);
          REG_VENDOR_MAX_FRAME[7:2]: rd_data_o <= RESET_VENDOR_MAX_FRAME;
          REG_VENDOR_MSIX_CONTROL[7:2]: begin
            rd_data_o[VENDOR_MSIX_CONTROL_TABLE_SIZE_LSB+:VENDOR_MSIX_CONTROL_TABLE_SIZE_W] <=
                VENDOR_MSIX_CONTROL_TABLE_SIZE_W'(QUEUES);
            rd_data_o[VENDOR_MSIX_CONTROL_FUNCTION_MASK_LSB] <= msix_function_mask_o;
            rd_data_o[VENDOR_MSIX_CONTROL_ENABLE_LSB] <= msix_enable_o;
          end
          REG_VENDOR_VQ_SELECT[7:2]: rd_data_o <= {16'h0, select_q};
          REG_VENDOR_VQ_STATE[7:2]:
          if (exists) begin
            rd_data_o[VENDOR_VQ_STATE_ENABLED_LSB]   <= vsel_enabled_i;
            rd_data_o[VENDOR_VQ_STATE_RESETTING_LSB] <= vsel_resetting_i;
            rd_data_o[VENDOR_VQ_STATE_STOPPED_LSB]   <= vsel_stopped_i;
          end
          REG_VENDOR_VQ_REASON[7:2]: if (exists) rd_data_o <= {24'h0, vsel_reason_i};
          REG_VENDOR_VQ_POS[7:2]: if (exists) rd_data_o <= vsel_pos_i;
          REG_VENDOR_VQ_ERR_ADDR[7:2]: if (exists) rd_data_o <= vsel_addr_i[31:0];
          REG_VENDOR_VQ_ERR_ADDR[7:2] + 6'd1: if (exists) rd_data_o <= vsel_addr_i[63:32];
          REG_VENDOR_BAD_DOORBELL_COUNT[7:2]: rd_data_o <= bad_count_i;
          REG_VENDOR_BAD_DOORBELL_LAST[7:2]: rd_data_o <= bad_last_i;
          REG_VENDOR_FEATURES_OFFERED[7:2]: rd_data_o <= FEATURES_OFFERED[31:0];
          REG_VENDOR_FEATURES_OFFERED[7:2] + 6'd1: rd_data_o <= FEATURES_OFFERED[63:32];
          REG_VENDOR_FEATURES_ACCEPTED[7:2]: rd_data_o <= features_i[31:0];
          REG_VENDOR_FEATURES_ACCEPTED[7:2] + 6'd1: rd_data_o <= features_i[63:32];
          REG_VENDOR_FEATURE_ENABLE[7:2]: rd_data_o <= feature_enable_o[31:0];
          REG_VENDOR_FEATURE_ENABLE[7:2] + 6'd1: rd_data_o <= feature_enable_o[63:32];
          REG_VENDOR_STAT_SNAPSHOT[7:2]: rd_data_o[VENDOR_STAT_SNAPSHOT_HOLD_LSB] <= hold_q;
          REG_VENDOR_VQ_STOPPED[7:2]: rd_data_o <= stopped[31:0];
          REG_VENDOR_VQ_STOPPED[7:2] + 6'd1: rd_data_o <= stopped[63:32];
          REG_VENDOR_VQ_STOPPED[7:2] + 6'd2: rd_data_o <= stopped[95:64];
          REG_VENDOR_VQ_STOPPED[7:2] + 6'd3: rd_data_o <= stopped[127:96];
          default: ;
        endcase
      end
    end
  end

  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0]};
endmodule
`default_nettype wire
