// SPDX-License-Identifier: Apache-2.0
// tupelo_bar_event - device configuration, ISR status and what raises a configuration interrupt
// Guarantees: a change of link_up_i changes config_generation and net.status in one cycle and gives one
//   config_p_o; a queue that stops gives one too, with needs_reset_p_o if it cannot be reset alone. An ISR bit that
//   is set in the cycle of the read that clears it survives.
// Clock/reset: clk; rst synchronous, active high; hold_i (device reset) clears the ISR and silences events.
// Contract: mac_addr_i and mtu_i are constant after rst.
// Spec: VIRTIO 1.2 4.1.4.5, 5.1.4, 2.5. Limits: the generation wraps at 256.
`default_nettype none
module tupelo_bar_event
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUE_PAIRS = 8,  // 1..64
    localparam integer QUEUES = 2 * QUEUE_PAIRS
) (
    input  wire                                     clk,
    input  wire                                     rst,
    input  tupelo_axil_pkg::axil_bus_t              bus_i,
    output logic                       [      31:0] rd_data_o,
    input  wire                        [      47:0] mac_addr_i,
    input  wire                        [      15:0] mtu_i,
    input  wire                                     link_up_i,
    input  wire                                     hold_i,
    input  wire                                     ring_reset_i,    // VIRTIO_F_RING_RESET was negotiated
    input  wire                        [QUEUES-1:0] q_stopped_i,
    input  wire                                     queue_isr_p_i,   // a queue's request without MSI-X
    output logic                       [       7:0] generation_o,
    output logic                                    config_p_o,
    output logic                                    needs_reset_p_o
);
  logic link_q;
  logic [QUEUES-1:0] stopped_q;
  logic isr_queue_q, isr_config_q;

  wire link_change = link_up_i != link_q;
  wire stop = |(q_stopped_i & ~stopped_q) && !hold_i;
  wire config_p = (link_change && !hold_i) || stop;
  wire rd_isr = bus_i.rd_p && bus_i.rd_addr[17:2] == REG_ISR[17:2];

  always_ff @(posedge clk) begin
    link_q          <= link_up_i;
    stopped_q       <= q_stopped_i;
    config_p_o      <= config_p;
    needs_reset_p_o <= stop && !ring_reset_i;
    if (link_change) generation_o <= generation_o + 8'd1;
    if (rd_isr) {isr_queue_q, isr_config_q} <= 2'b00;
    if (queue_isr_p_i) isr_queue_q <= 1'b1;
    if (config_p) isr_config_q <= 1'b1;
    if (rst) begin
      generation_o <= RESET_COMMON_CONFIG_GENERATION;
      stopped_q    <= '0;
      {config_p_o, needs_reset_p_o} <= 2'b00;
    end
    if (rst || hold_i) {isr_queue_q, isr_config_q} <= 2'b00;
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      case (bus_i.rd_addr[17:2])
        REG_ISR[17:2]: begin
          rd_data_o[ISR_QUEUE_LSB]  <= isr_queue_q;
          rd_data_o[ISR_CONFIG_LSB] <= isr_config_q;
        end
        REG_NET_MAC[17:2]: rd_data_o <= mac_addr_i[31:0];
        REG_NET_STATUS[17:2]: begin
          rd_data_o[15:0] <= mac_addr_i[47:32];
          rd_data_o[16+NET_STATUS_LINK_UP_LSB] <= link_q;
        end
        REG_NET_MTU[17:2]: rd_data_o <= {mtu_i, 16'(QUEUE_PAIRS)};
        REG_NET_RSS_MAX_KEY_SIZE[17:2]:
        rd_data_o <= {RESET_NET_RSS_MAX_INDIRECTION_TABLE_LENGTH, RESET_NET_RSS_MAX_KEY_SIZE, 8'h0};
        REG_NET_SUPPORTED_HASH_TYPES[17:2]: rd_data_o <= RESET_NET_SUPPORTED_HASH_TYPES;
        default: ;
      endcase
    end
  end

  wire unused = &{1'b0, bus_i.wr_p, bus_i.wr_addr, bus_i.wr_data, bus_i.wr_strb, bus_i.rd_addr[1:0]};
endmodule
`default_nettype wire
