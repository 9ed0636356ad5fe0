// SPDX-License-Identifier: Apache-2.0
// tupelo_bar_queue - queue half of the virtio common configuration: the window of queue_select
// Guarantees: turns register writes into field writes of the queue table, at most two a register write (size and
//   vector share a dword), the first one cycle after it. Fields of an enabled or draining queue are frozen,
//   except the vector. A queue that does not exist reads 0 (vector 0xffff) and ignores writes.
// Clock/reset: clk; rst synchronous, active high; clear_i returns queue_select to 0.
// Contract: the table answers queue_select_o in the same cycle; q_enabled_i and q_resetting_i follow their pulses
//   within SETTLE_CYCLES, for which busy_o keeps the register bus quiet.
// Spec: VIRTIO 1.2 4.1.4.3, 2.6.1. Limits: the table itself, and its defaults, are the datapath's.
`default_nettype none
module tupelo_bar_queue
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES        = 16,  // virtqueues, 2..128
    parameter integer VECTORS       = 17,  // MSI-X vectors, 3..129
    parameter integer SETTLE_CYCLES = 4    // cycles, 1..7
) (
    input  wire                               clk,
    input  wire                               rst,
    input  tupelo_axil_pkg::axil_bus_t        bus_i,
    output logic                       [31:0] rd_data_o,
    output wire                               busy_o,
    input  wire                               hold_i,          // a device reset is under way: ignore writes
    input  wire                               clear_i,         // pulse: it is done
    input  wire                               ring_reset_i,    // VIRTIO_F_RING_RESET was negotiated
    output logic                       [15:0] queue_select_o,
    output logic                              qt_we_o,
    output logic                       [ 2:0] qt_field_o,
    output logic                       [31:0] qt_wdata_o,
    input  wire                        [15:0] qt_size_i,
    input  wire                        [15:0] qt_vector_i,
    input  wire                        [63:0] qt_desc_i,
    input  wire                        [63:0] qt_driver_i,
    input  wire                        [63:0] qt_device_i,
    output logic                              q_enable_p_o,
    output logic                              q_reset_p_o,
    input  wire                               q_enabled_i,
    input  wire                               q_resetting_i
);
  localparam logic [2:0] FieldSize = 3'd0;
  localparam logic [2:0] FieldVector = 3'd1;
  localparam logic [2:0] FieldDescLo = 3'd2;

  logic vector_we_q;
  logic [15:0] vector_q;
  logic [2:0] settle_q;

  wire exists = queue_select_o < 16'(QUEUES);
  wire frozen = q_enabled_i || q_resetting_i;
  wire wr_block = bus_i.wr_p && bus_i.wr_addr[17:6] == BASE_COMMON[17:6] && !hold_i;
  wire wr_hit = wr_block && exists;
  wire rd_hit = bus_i.rd_addr[17:6] == BASE_COMMON[17:6];
  wire [3:0] wr_word = bus_i.wr_addr[5:2];
  wire [3:0] rd_word = bus_i.rd_addr[5:2];

  // Dword of a queue, as the table holds it.
  function automatic logic [31:0] table_word(input logic [3:0] word, input logic [15:0] size,
                                             input logic [15:0] vector, input logic [63:0] desc,
                                             input logic [63:0] driver, input logic [63:0] device);
    case (word)
      REG_COMMON_QUEUE_SIZE[5:2]: table_word = {vector, size};
      REG_COMMON_QUEUE_DESC[5:2]: table_word = desc[31:0];
      REG_COMMON_QUEUE_DESC[5:2] + 4'd1: table_word = desc[63:32];
      REG_COMMON_QUEUE_DRIVER[5:2]: table_word = driver[31:0];
      REG_COMMON_QUEUE_DRIVER[5:2] + 4'd1: table_word = driver[63:32];
      REG_COMMON_QUEUE_DEVICE[5:2]: table_word = device[31:0];
      REG_COMMON_QUEUE_DEVICE[5:2] + 4'd1: table_word = device[63:32];
      default: table_word = '0;
    endcase
  endfunction

  assign busy_o = qt_we_o || vector_we_q || settle_q != 3'd0;

  always_ff @(posedge clk) begin
    qt_we_o      <= 1'b0;
    q_enable_p_o <= 1'b0;
    q_reset_p_o  <= 1'b0;
    vector_we_q  <= 1'b0;
    if (settle_q != 3'd0) settle_q <= settle_q - 3'd1;

    if (vector_we_q) begin
      qt_we_o    <= 1'b1;
      qt_field_o <= FieldVector;
      qt_wdata_o <= {16'h0, vector_q < 16'(VECTORS) ? vector_q : 16'hffff};
    end

    if (wr_block && wr_word == REG_COMMON_QUEUE_SELECT[5:2]) begin
      if (bus_i.wr_strb[2]) queue_select_o[7:0] <= bus_i.wr_data[23:16];
      if (bus_i.wr_strb[3]) queue_select_o[15:8] <= bus_i.wr_data[31:24];
    end
    if (wr_hit) begin
      qt_wdata_o <= tupelo_axil_pkg::merge(
          table_word(
              wr_word, qt_size_i, qt_vector_i, qt_desc_i, qt_driver_i, qt_device_i
          ),
          bus_i.wr_data,
          bus_i.wr_strb
      );
      case (wr_word)
        REG_COMMON_QUEUE_SIZE[5:2]: begin
          qt_we_o           <= bus_i.wr_strb[1:0] != 2'b00 && !frozen;
          qt_field_o        <= FieldSize;
          qt_wdata_o[31:16] <= '0;
          vector_we_q       <= bus_i.wr_strb[3:2] != 2'b00;
          vector_q[7:0]     <= bus_i.wr_strb[2] ? bus_i.wr_data[23:16] : qt_vector_i[7:0];
          vector_q[15:8]    <= bus_i.wr_strb[3] ? bus_i.wr_data[31:24] : qt_vector_i[15:8];
        end
        REG_COMMON_QUEUE_ENABLE[5:2]:
        if (bus_i.wr_strb[0] && bus_i.wr_data[COMMON_QUEUE_ENABLE_ENABLE_LSB] && !frozen) begin
          q_enable_p_o <= 1'b1;
          settle_q     <= 3'(SETTLE_CYCLES);
        end
        REG_COMMON_QUEUE_DESC[5:2], REG_COMMON_QUEUE_DESC[5:2] + 4'd1,
        REG_COMMON_QUEUE_DRIVER[5:2], REG_COMMON_QUEUE_DRIVER[5:2] + 4'd1,
        REG_COMMON_QUEUE_DEVICE[5:2], REG_COMMON_QUEUE_DEVICE[5:2] + 4'd1: begin
          qt_we_o    <= bus_i.wr_strb != 4'b0000 && !frozen;
          qt_field_o <= FieldDescLo + 3'(wr_word - REG_COMMON_QUEUE_DESC[5:2]);
        end
        REG_COMMON_QUEUE_RESET[5:2]:
        if (bus_i.wr_strb[2] && bus_i.wr_data[16+COMMON_QUEUE_RESET_RESET_LSB] && ring_reset_i &&
            !q_resetting_i) begin
          q_reset_p_o <= 1'b1;
          settle_q    <= 3'(SETTLE_CYCLES);
        end
        default: ;
      endcase
    end
    if (rst || clear_i) queue_select_o <= RESET_COMMON_QUEUE_SELECT;
    if (rst) begin
      {qt_we_o, q_enable_p_o, q_reset_p_o, vector_we_q} <= 4'b0;
      settle_q <= 3'd0;
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_hit) begin
        case (rd_word)
          REG_COMMON_QUEUE_SELECT[5:2]: rd_data_o <= {queue_select_o, 16'h0};
          REG_COMMON_QUEUE_ENABLE[5:2]: if (exists) rd_data_o <= {queue_select_o, 15'h0, q_enabled_i};
          REG_COMMON_QUEUE_RESET[5:2]: if (exists) rd_data_o <= {15'h0, q_resetting_i, queue_select_o};
          REG_COMMON_QUEUE_SIZE[5:2]:
          rd_data_o <= exists ? {qt_vector_i, qt_size_i} : {RESET_COMMON_QUEUE_MSIX_VECTOR, 16'h0};
          default:
          if (exists)
            rd_data_o <= table_word(rd_word, qt_size_i, qt_vector_i, qt_desc_i, qt_driver_i, qt_device_i);
        endcase
      end
    end
  end

  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0]};

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && bus_i.wr_p && busy_o)
      $fatal(1, "%m quiet: register write while a table write is under way at %0t", $time);
`endif
endmodule
`default_nettype wire
