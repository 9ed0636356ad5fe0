// SPDX-License-Identifier: Apache-2.0
// tupelo_bar_common - device half of the virtio common configuration: features, status, reset handshake
// Guarantees: status bits only rise, except by a reset; FEATURES_OK refuses a bit that is not offered or not
//   enabled, a set without VERSION_1 and RING_PACKED, and a bit without the one it needs; DRIVER_OK needs FEATURES_OK. A reset starts with the write of 0
//   (reset_req_o) and ends with reset_done_i, when all registers return to their reset values; until then
//   device_status reads non-zero and writes are ignored.
// Clock/reset: clk; rst synchronous, active high.
// Contract: reset_done_i is a pulse and answers reset_req_o; without a request it is ignored.
// Spec: VIRTIO 1.2 2.1, 2.2, 3.1.1, 4.1.4.3, 5.1.3.1. Limits: queue_* registers are in tupelo_bar_queue.
`default_nettype none
module tupelo_bar_common
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES  = 16,  // virtqueues, 2..128
    parameter integer VECTORS = 17   // MSI-X vectors, 3..129
) (
    input wire clk,
    input wire rst,
    input tupelo_axil_pkg::axil_bus_t bus_i,
    output logic [31:0] rd_data_o,
    input wire [7:0] generation_i,
    input wire [63:0] enable_i,  // features that the device may offer
    input wire needs_reset_p_i,  // a queue stopped and only a device reset helps
    output logic [15:0] config_vector_o,
    output wire driver_ok_o,
    output logic reset_req_o,
    input wire reset_done_i,
    output wire [63:0] features_o
);
  localparam integer StAck = COMMON_DEVICE_STATUS_ACKNOWLEDGE_LSB;
  localparam integer StDriver = COMMON_DEVICE_STATUS_DRIVER_LSB;
  localparam integer StDriverOk = COMMON_DEVICE_STATUS_DRIVER_OK_LSB;
  localparam integer StFeaturesOk = COMMON_DEVICE_STATUS_FEATURES_OK_LSB;
  localparam integer StNeedsReset = COMMON_DEVICE_STATUS_DEVICE_NEEDS_RESET_LSB;
  localparam integer StFailed = COMMON_DEVICE_STATUS_FAILED_LSB;
  localparam logic [63:0] FeaturesMust = (64'd1 << FEATURE_VERSION_1) | (64'd1 << FEATURE_RING_PACKED);

  logic [31:0] device_sel_q, driver_sel_q;
  logic [63:0] driver_feature_q;
  logic [7:0] status_q;

  wire wr_hit = bus_i.wr_p && bus_i.wr_addr[17:6] == BASE_COMMON[17:6] && !reset_req_o;
  wire rd_hit = bus_i.rd_addr[17:6] == BASE_COMMON[17:6];
  wire [3:0] wr_word = bus_i.wr_addr[5:2];
  wire [3:0] rd_word = bus_i.rd_addr[5:2];
  wire wr_status = wr_hit && wr_word == REG_COMMON_DEVICE_STATUS[5:2] && bus_i.wr_strb[0];
  wire [7:0] new_status = bus_i.wr_data[7:0];

  wire [63:0] offered = FEATURES_OFFERED & enable_i;
  wire tso = driver_feature_q[FEATURE_NET_HOST_TSO4] || driver_feature_q[FEATURE_NET_HOST_TSO6];
  wire needs_met = (!tso || driver_feature_q[FEATURE_NET_CSUM]) && (!driver_feature_q[FEATURE_NET_HOST_ECN] || tso);
  wire features_good = (driver_feature_q & ~offered) == '0 && (driver_feature_q & FeaturesMust) == FeaturesMust &&
                       needs_met;
  wire features_ok = status_q[StFeaturesOk] || (new_status[StFeaturesOk] && features_good);

  assign driver_ok_o = status_q[StDriverOk] && !reset_req_o;
  assign features_o  = status_q[StFeaturesOk] ? driver_feature_q : '0;

  function automatic logic [15:0] checked_vector(input logic [15:0] vector);
    checked_vector = vector < 16'(VECTORS) ? vector : 16'hffff;
  endfunction

  wire [31:0] merged_vector = tupelo_axil_pkg::merge({16'h0, config_vector_o}, bus_i.wr_data, bus_i.wr_strb);

  always_ff @(posedge clk) begin
    if (wr_hit) begin
      case (wr_word)
        REG_COMMON_DEVICE_FEATURE_SELECT[5:2]:
        device_sel_q <= tupelo_axil_pkg::merge(device_sel_q, bus_i.wr_data, bus_i.wr_strb);
        REG_COMMON_DRIVER_FEATURE_SELECT[5:2]:
        driver_sel_q <= tupelo_axil_pkg::merge(driver_sel_q, bus_i.wr_data, bus_i.wr_strb);
        REG_COMMON_DRIVER_FEATURE[5:2]:
        if (!status_q[StFeaturesOk]) begin
          if (driver_sel_q == 32'd0)
            driver_feature_q[31:0] <= tupelo_axil_pkg::merge(
                driver_feature_q[31:0], bus_i.wr_data, bus_i.wr_strb
            );
          if (driver_sel_q == 32'd1)
            driver_feature_q[63:32] <= tupelo_axil_pkg::merge(
                driver_feature_q[63:32], bus_i.wr_data, bus_i.wr_strb
            );
        end
        REG_COMMON_CONFIG_MSIX_VECTOR[5:2]:
        if (bus_i.wr_strb[1:0] != 2'b00) config_vector_o <= checked_vector(merged_vector[15:0]);
        default: ;
      endcase
    end
    if (wr_status) begin
      if (new_status == 8'h00) reset_req_o <= 1'b1;
      status_q[StAck]    <= status_q[StAck] || new_status[StAck];
      status_q[StDriver] <= status_q[StDriver] || new_status[StDriver];
      status_q[StFailed] <= status_q[StFailed] || new_status[StFailed];
      if (new_status[StFeaturesOk] && features_good) status_q[StFeaturesOk] <= 1'b1;
      if (new_status[StDriverOk] && features_ok) status_q[StDriverOk] <= 1'b1;
    end
    if (needs_reset_p_i) status_q[StNeedsReset] <= 1'b1;
    if (rst || (reset_req_o && reset_done_i)) begin
      device_sel_q     <= RESET_COMMON_DEVICE_FEATURE_SELECT;
      driver_sel_q     <= RESET_COMMON_DRIVER_FEATURE_SELECT;
      driver_feature_q <= {2{RESET_COMMON_DRIVER_FEATURE}};
      config_vector_o  <= RESET_COMMON_CONFIG_MSIX_VECTOR;
      status_q         <= RESET_COMMON_DEVICE_STATUS;
      reset_req_o      <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_hit) begin
        case (rd_word)
          REG_COMMON_DEVICE_FEATURE_SELECT[5:2]: rd_data_o <= device_sel_q;
          REG_COMMON_DEVICE_FEATURE[5:2]: begin
            if (device_sel_q == 32'd0) rd_data_o <= offered[31:0];
            if (device_sel_q == 32'd1) rd_data_o <= offered[63:32];
          end
          REG_COMMON_DRIVER_FEATURE_SELECT[5:2]: rd_data_o <= driver_sel_q;
          REG_COMMON_DRIVER_FEATURE[5:2]: begin
            if (driver_sel_q == 32'd0) rd_data_o <= driver_feature_q[31:0];
            if (driver_sel_q == 32'd1) rd_data_o <= driver_feature_q[63:32];
          end
          REG_COMMON_CONFIG_MSIX_VECTOR[5:2]: rd_data_o <= {16'(QUEUES), config_vector_o};
          // Reset of an already reset device must read non-zero too: ACKNOWLEDGE stands in.
          REG_COMMON_DEVICE_STATUS[5:2]:
          rd_data_o <= {16'h0, generation_i, status_q[7:1], status_q[StAck] || reset_req_o};
          default: ;
        endcase
      end
    end
  end

  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0], merged_vector[31:16]};
endmodule
`default_nettype wire
