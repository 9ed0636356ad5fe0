// SPDX-License-Identifier: Apache-2.0
// tupelo_queue_ctl - life of the virtqueues and of the device: enable, stop, queue reset, device reset
// Guarantees: active_o rises the cycle after start_o and falls the cycle after an error report, a queue reset or a
//   device reset. A queue reset ends once no engine holds work of the queue (busy_i low for 4 cycles). A device reset
//   ends once the AXI master is idle, every engine has been reset (dev_rst_o) and the queue table holds its defaults
//   again. The first error of a queue is kept until the queue is reset.
// Clock/reset: clk; rst synchronous, active high, starts as a device reset.
// Contract: engines answer busy_i for busy_queue_o combinationally. VIRTIO 1.2 sections 2.1, 2.6.1, 4.1.4.3.
`default_nettype none
module tupelo_queue_ctl
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES         = 16,    // virtqueues, 2..128
    parameter integer QUEUE_SIZE_MAX = 1024,  // 2..32768
    parameter integer ERROR_PORTS    = 2,
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire                 clk,
    input  wire                 rst,
    // from the BAR
    input  wire                 driver_ok_i,
    input  wire                 reset_req_i,
    output logic                reset_done_o,
    input  wire  [        15:0] queue_select_i,
    input  wire                 enable_p_i,
    input  wire                 reset_p_i,
    output wire                 sel_enabled_o,
    output wire                 sel_resetting_o,
    input  wire  [   QidxW-1:0] vsel_queue_i,
    output wire                 vsel_enabled_o,
    output wire                 vsel_resetting_o,
    output wire                 vsel_stopped_o,
    output wire  [         7:0] vsel_reason_o,
    output wire  [        63:0] vsel_addr_o,
    output wire  [        31:0] vsel_pos_o,
    output wire  [  QUEUES-1:0] stopped_o,
    input  wire  queue_cfg_t    sel_cfg_i,        // table entry of queue_select_i
    output logic                clear_o,
    output logic [   QidxW-1:0] clear_queue_o,
    // to and from the engines
    output logic [  QUEUES-1:0] active_o,
    output wire  [  QUEUES-1:0] enabled_o,
    output logic                start_o,          // pulse: the engines set up their state of start_queue_o
    output logic [   QidxW-1:0] start_queue_o,
    output logic [   QidxW-1:0] busy_queue_o,
    input  wire                 busy_i,
    input  wire  queue_error_t [ERROR_PORTS-1:0] error_i,
    output logic                halt_o,           // no new AXI transaction may start
    input  wire                 dma_idle_i,
    output logic                dev_rst_o         // pulse: reset of every engine
);
    typedef enum logic [1:0] {
    StRun,
    StHalt,
    StPulse,
    StSweep
  } state_e;

  logic [QUEUES-1:0] enabled_q, resetting_q, stopped_q;
  stop_reason_e reason_mem[QUEUES];
  logic [63:0] addr_mem[QUEUES];
  ring_pos_t pos_mem[QUEUES];
  state_e state_q;
  logic [QidxW-1:0] sweep_q, busy_pick_q;
  logic [2:0] quiet_q;
  logic any_resetting_q;

  wire [QidxW-1:0] sel = queue_select_i[QidxW-1:0];
  wire sel_ok = queue_select_i < 16'(QUEUES);
  wire enable = enable_p_i && sel_ok && !enabled_q[sel] && !resetting_q[sel] && state_q == StRun;
  wire config_bad = sel_cfg_i.size == 16'd0 || sel_cfg_i.size > 16'(QUEUE_SIZE_MAX)
      || sel_cfg_i.desc[3:0] != 4'd0 || sel_cfg_i.driver[1:0] != 2'd0 || sel_cfg_i.device[1:0] != 2'd0;
  wire queue_reset = reset_p_i && sel_ok && enabled_q[sel] && state_q == StRun;

  assign sel_enabled_o    = sel_ok && enabled_q[sel];
  assign sel_resetting_o  = sel_ok && resetting_q[sel];
  assign vsel_enabled_o   = enabled_q[vsel_queue_i];
  assign vsel_resetting_o = resetting_q[vsel_queue_i];
  assign vsel_stopped_o   = stopped_q[vsel_queue_i];
  assign vsel_reason_o    = stopped_q[vsel_queue_i] ? reason_mem[vsel_queue_i] : 8'd0;
  assign vsel_addr_o      = stopped_q[vsel_queue_i] ? addr_mem[vsel_queue_i] : 64'd0;
  assign vsel_pos_o       = stopped_q[vsel_queue_i] ? {16'd0, pos_mem[vsel_queue_i]} : 32'd0;
  assign stopped_o        = stopped_q;
  assign enabled_o        = enabled_q;
  // A queue counts as active once the engines have set up their state, the cycle after start_o.
  wire [QUEUES-1:0] starting = start_o ? QUEUES'(1) << start_queue_o : '0;
  assign active_o         = driver_ok_i && state_q == StRun ? enabled_q & ~resetting_q & ~stopped_q & ~starting : '0;
  assign busy_queue_o     = busy_pick_q;
  assign halt_o           = state_q != StRun;

  wire pick_valid;
  wire [QidxW-1:0] pick;
  tupelo_rr_pick #(
      .N(QUEUES)
  ) u_pick (
      .req_i  (resetting_q),
      .last_i (busy_pick_q),
      .valid_o(pick_valid),
      .idx_o  (pick)
  );

  wire reset_finished = any_resetting_q && resetting_q[busy_pick_q] && quiet_q == 3'd4;

  always_ff @(posedge clk) begin
    start_o       <= 1'b0;
    dev_rst_o     <= 1'b0;
    reset_done_o  <= 1'b0;
    clear_o       <= 1'b0;
    start_queue_o <= sel;
    if (enable) begin
      enabled_q[sel] <= 1'b1;
      start_o        <= 1'b1;
      if (config_bad) begin
        stopped_q[sel]  <= 1'b1;
        reason_mem[sel] <= STOP_REASON_RING_CONFIG;
        addr_mem[sel]   <= sel_cfg_i.desc;
        pos_mem[sel]    <= '0;
      end
    end
    if (queue_reset) resetting_q[sel] <= 1'b1;
    for (int p = 0; p < ERROR_PORTS; p++) begin
      if (error_i[p].valid && enabled_q[error_i[p].vq[QidxW-1:0]] && !stopped_q[error_i[p].vq[QidxW-1:0]]) begin
        stopped_q[error_i[p].vq[QidxW-1:0]]  <= 1'b1;
        reason_mem[error_i[p].vq[QidxW-1:0]] <= error_i[p].reason;
        addr_mem[error_i[p].vq[QidxW-1:0]]   <= error_i[p].addr;
        pos_mem[error_i[p].vq[QidxW-1:0]]    <= error_i[p].pos;
      end
    end

    // One resetting queue at a time is watched until its engines have been quiet for a few cycles.
    any_resetting_q <= |resetting_q && !reset_finished;
    quiet_q <= busy_i || !any_resetting_q || reset_finished ? 3'd0 : (quiet_q == 3'd4 ? quiet_q : quiet_q + 1'b1);
    if (!any_resetting_q && pick_valid) busy_pick_q <= pick;
    if (reset_finished) begin
      enabled_q[busy_pick_q]   <= 1'b0;
      resetting_q[busy_pick_q] <= 1'b0;
      stopped_q[busy_pick_q]   <= 1'b0;
      clear_o                  <= 1'b1;
      clear_queue_o            <= busy_pick_q;
    end

    unique case (state_q)
      StRun: if (reset_req_i && !reset_done_o) state_q <= StHalt;  // done is seen by the BAR a cycle later
      StHalt: begin  // no new transactions; wait until none is under way
        quiet_q <= dma_idle_i ? (quiet_q == 3'd4 ? quiet_q : quiet_q + 1'b1) : 3'd0;
        if (quiet_q == 3'd4) state_q <= StPulse;
      end
      StPulse: begin
        dev_rst_o       <= 1'b1;
        enabled_q       <= '0;
        resetting_q     <= '0;
        stopped_q       <= '0;
        any_resetting_q <= 1'b0;
        sweep_q         <= '0;
        state_q         <= StSweep;
      end
      default: begin  // StSweep: a queue a cycle back to its defaults
        clear_o       <= 1'b1;
        clear_queue_o <= sweep_q;
        sweep_q       <= sweep_q + 1'b1;
        if (sweep_q == QidxW'(QUEUES - 1)) begin
          state_q      <= StRun;
          reset_done_o <= 1'b1;
        end
      end
    endcase

    if (rst) begin
      state_q         <= StPulse;
      enabled_q       <= '0;
      resetting_q     <= '0;
      stopped_q       <= '0;
      any_resetting_q <= 1'b0;
      busy_pick_q     <= '0;
      quiet_q         <= '0;
    end
  end

  initial begin
    if (QUEUES < 2 || QUEUES > 128) $fatal(1, "%m: QUEUES must be 2..128, not %0d", QUEUES);
    if (QUEUE_SIZE_MAX < 2 || QUEUE_SIZE_MAX > 32768)
      $fatal(1, "%m: QUEUE_SIZE_MAX must be 2..32768, not %0d", QUEUE_SIZE_MAX);
  end
  wire unused = &{1'b0, sel_cfg_i.vector};
endmodule
`default_nettype wire
