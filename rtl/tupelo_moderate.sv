// SPDX-License-Identifier: Apache-2.0
// tupelo_moderate - holds interrupts of a virtqueue back until enough used descriptors or enough time have gathered
// Guarantees: a queue without moderation passes at once and in the same cycle. A held interrupt is sent when its count
//   is reached, when its time is over (at most 64 + QUEUES cycles late), or when moderation is turned off; one that the
//   driver wanted is not taken back if it changes its mind. Forgotten only with its queue, when active_i falls; what
//   comes while it is low passes at once. Each s_* is sent, joins one that is sent (merged_o), or is forgotten.
// Clock/reset: clk; rst (datapath) forgets what is held, cfg_rst also the settings; both synchronous.
// Contract: s_* and m_* hold until ready. s_count: used descriptors that the interrupt stands for.
// Spec: docs/registers.md, block `moderation`.
`default_nettype none
module tupelo_moderate
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               cfg_rst,
    input  wire tupelo_axil_pkg::axil_bus_t bus_i,
    output logic [      31:0] rd_data_o,
    input  wire  [QUEUES-1:0] active_i,   // enabled: neither reset nor being reset
    input  wire               s_valid,
    output wire               s_ready,
    input  wire  [ QidxW-1:0] s_queue,
    input  wire  [      15:0] s_vector,
    input  wire  [      15:0] s_count,
    output wire               m_valid,
    input  wire               m_ready,
    output wire  [ QidxW-1:0] m_queue,
    output wire  [      15:0] m_vector,
    output wire               merged_o,   // pulse: an interrupt joined one that was held
    output wire               waiting_o   // something is held
);
  localparam integer BlockBits = 8;
  localparam integer TimeW = 18;  // units of 64 cycles; twice the longest wait and more

  // ---- settings
  logic [7:0] select_q;
  logic [15:0] most_mem[QUEUES];
  logic [15:0] wait_mem[QUEUES];
  logic [QUEUES-1:0] counts_q, waits_q;  // count above 1, time above 0

  wire wr_hit = bus_i.wr_p && bus_i.wr_addr[17:BlockBits] == BASE_MODERATION[17:BlockBits];
  wire rd_hit = bus_i.rd_addr[17:BlockBits] == BASE_MODERATION[17:BlockBits];
  wire exists = select_q < 8'(QUEUES);
  wire [QidxW-1:0] sel = select_q[QidxW-1:0];
  wire wr_count = wr_hit && exists && bus_i.wr_addr[7:2] == REG_MODERATION_COUNT[7:2] && bus_i.wr_strb[1:0] == 2'b11;
  wire wr_time = wr_hit && exists && bus_i.wr_addr[7:2] == REG_MODERATION_TIME[7:2] && bus_i.wr_strb[1:0] == 2'b11;

  always_ff @(posedge clk) begin
    if (wr_hit && bus_i.wr_addr[7:2] == REG_MODERATION_SELECT[7:2] && bus_i.wr_strb[0]) select_q <= bus_i.wr_data[7:0];
    if (wr_count) begin
      most_mem[sel] <= bus_i.wr_data[15:0];
      counts_q[sel] <= bus_i.wr_data[15:1] != '0;
    end
    if (wr_time) begin
      wait_mem[sel] <= bus_i.wr_data[15:0];
      waits_q[sel]  <= bus_i.wr_data[15:0] != '0;
    end
    if (cfg_rst) begin
      select_q <= '0;
      counts_q <= '0;
      waits_q  <= '0;
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_hit) begin
        case (bus_i.rd_addr[7:2])
          REG_MODERATION_SELECT[7:2]: rd_data_o <= {24'd0, select_q};
          // 0 and 1 mean the same, and 1 reads as it was written only behind a larger value: both read 0.
          REG_MODERATION_COUNT[7:2]: if (exists && counts_q[sel]) rd_data_o <= {16'd0, most_mem[sel]};
          REG_MODERATION_TIME[7:2]: if (exists && waits_q[sel]) rd_data_o <= {16'd0, wait_mem[sel]};
          default: ;
        endcase
      end
    end
  end

  // ---- what is held
  logic [QUEUES-1:0] held_q;
  logic [15:0] count_mem[QUEUES];
  logic [15:0] vector_mem[QUEUES];
  logic [TimeW-1:0] until_mem[QUEUES];
  logic [QidxW-1:0] scan_q;
  logic [5:0] prescale_q;
  logic [TimeW-1:0] now_q;

  logic fire_q;  // a timer's interrupt is at the output and was not taken

  wire live = active_i[s_queue];
  wire was_held = held_q[s_queue];
  wire moderated = counts_q[s_queue] && waits_q[s_queue];
  wire [16:0] sum = {1'b0, s_count} + (was_held ? {1'b0, count_mem[s_queue]} : 17'd0);
  wire hold = moderated && live && sum < {1'b0, most_mem[s_queue]};
  wire pass = s_valid && !hold && !fire_q;

  // Timers, a queue a cycle.
  wire [TimeW-1:0] late = now_q - until_mem[scan_q];
  wire due = held_q[scan_q] && (!(counts_q[scan_q] && waits_q[scan_q]) || !late[TimeW-1]);
  wire fire = fire_q || (due && !s_valid && active_i[scan_q]);
  wire stay = fire ? !m_ready : due;

  assign m_valid   = pass || fire;
  assign m_queue   = pass ? s_queue : scan_q;
  assign m_vector  = pass ? s_vector : vector_mem[scan_q];
  assign s_ready   = !fire_q && (hold || m_ready);
  assign merged_o  = s_valid && s_ready && live && was_held;
  assign waiting_o = held_q != '0;

  always_ff @(posedge clk) begin
    prescale_q <= prescale_q + 1'b1;
    if (&prescale_q) now_q <= now_q + 1'b1;
    if (!stay) scan_q <= scan_q == QidxW'(QUEUES - 1) ? '0 : scan_q + 1'b1;
    held_q <= held_q & active_i;
    if (s_valid && s_ready) begin
      held_q[s_queue] <= hold;
      if (hold) begin
        count_mem[s_queue]  <= sum[15:0];
        vector_mem[s_queue] <= s_vector;
        if (!was_held) until_mem[s_queue] <= now_q + {{(TimeW - 16) {1'b0}}, wait_mem[s_queue]} + 1'b1;
      end
    end
    if (fire && m_ready) held_q[scan_q] <= 1'b0;
    fire_q <= fire && !m_ready;
    if (rst) begin
      held_q <= '0;
      scan_q <= '0;
      fire_q <= 1'b0;
    end
    if (cfg_rst) begin
      prescale_q <= '0;
      now_q      <= '0;
    end
  end
  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0], bus_i.wr_data[31:16], bus_i.wr_strb[3:2], select_q};
endmodule
`default_nettype wire
