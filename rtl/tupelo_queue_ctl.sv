// SPDX-License-Identifier: Apache-2.0
// tupelo_queue_ctl - life of the virtqueues and of the device: enable, stop, queue reset, device reset
// Guarantees: active_o rises the cycle after start_o and falls the cycle after an error report, a queue reset or a
//   device reset. Where the pair has windows, the queue becomes active only after its three ring areas have been found
//   inside them, a few cycles later; else it stops before any access. A queue reset ends once no engine holds work of
//   the queue (busy_i low for 4 cycles). A device reset ends once the AXI master is idle, every engine has been reset
//   (dev_rst_o) and the queue table holds its defaults again. The first error of a queue is kept until the queue is
//   reset; errors of several queues may come together.
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
    output logic                dev_rst_o,        // pulse: reset of every engine
    // windows of the queue pairs; the areas of chk_queue_o are checked against them (tupelo_windows' port B)
    input  wire  [QUEUES/2-1:0] windows_i,
    output wire  [   QidxW-1:0] chk_queue_o,
    input  wire  queue_cfg_t    chk_cfg_i,
    output wire                 chk_valid_o,
    input  wire                 chk_ready_i,
    output wire  [         5:0] chk_pair_o,
    output logic [        63:0] chk_addr_o,
    output logic [        31:0] chk_len_o,
    output wire                 chk_read_o,
    output wire                 chk_write_o,
    input  wire                 chk_ok_i          // the cycle after the question was taken, until the next one
);
  typedef enum logic [1:0] {
    StRun,
    StHalt,
    StPulse,
    StSweep
  } state_e;

  typedef enum logic [1:0] {
    AreaDesc,
    AreaDriver,
    AreaDevice
  } area_e;
  // What is kept of an error.
  typedef struct packed {
    stop_reason_e reason;
    ring_pos_t    pos;
    logic [63:0]  addr;
  } detail_t;
  localparam integer Own = ERROR_PORTS;  // index of this module's own errors
  localparam integer PairW = QUEUES > 2 ? QidxW - 1 : 1;
  localparam integer WhoW = $clog2(ERROR_PORTS + 1);

  logic [QUEUES-1:0] enabled_q, resetting_q, stopped_q;
  logic [QUEUES-1:0] check_q;  // its areas are to be checked
  logic [QUEUES-1:0] hold_q;  // not active before they have been
  logic [QUEUES-1:0][WhoW-1:0] who_q;  // which port's error stopped the queue
  logic [QUEUES/2-1:0] windows_q;
  logic checking_q, asked_q;
  logic [QidxW-1:0] check_queue_q;
  area_e area_q;
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

  detail_t [ERROR_PORTS:0] stop_detail, kept;  // of vsel_queue_i
  wire detail_t vsel_detail = kept[who_q[vsel_queue_i]];

  assign sel_enabled_o    = sel_ok && enabled_q[sel];
  assign sel_resetting_o  = sel_ok && resetting_q[sel];
  assign vsel_enabled_o   = enabled_q[vsel_queue_i];
  assign vsel_resetting_o = resetting_q[vsel_queue_i];
  assign vsel_stopped_o   = stopped_q[vsel_queue_i];
  assign vsel_reason_o    = stopped_q[vsel_queue_i] ? vsel_detail.reason : 8'd0;
  assign vsel_addr_o      = stopped_q[vsel_queue_i] ? vsel_detail.addr : 64'd0;
  assign vsel_pos_o       = stopped_q[vsel_queue_i] ? {16'd0, vsel_detail.pos} : 32'd0;
  assign stopped_o        = stopped_q;
  assign enabled_o        = enabled_q;
  // A queue counts as active once the engines have set up their state, the cycle after start_o.
  wire [QUEUES-1:0] starting = start_o ? QUEUES'(1) << start_queue_o : '0;
  assign active_o         = driver_ok_i && state_q == StRun
      ? enabled_q & ~resetting_q & ~stopped_q & ~starting & ~hold_q : '0;
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

  // ---- the ring areas of a queue, one after another
  wire check_valid;
  wire [QidxW-1:0] check_pick;
  tupelo_rr_pick #(
      .N(QUEUES)
  ) u_check_pick (
      .req_i  (check_q),
      .last_i (check_queue_q),
      .valid_o(check_valid),
      .idx_o  (check_pick)
  );
  wire config_stop = enable && config_bad;
  wire area_known = checking_q && asked_q && (chk_ok_i || !config_stop);
  wire area_stop = area_known && !chk_ok_i;

  assign chk_queue_o = check_queue_q;
  assign chk_valid_o = checking_q && !asked_q;
  assign chk_pair_o  = 6'(check_queue_q >> 1);
  assign chk_read_o  = area_q != AreaDevice;
  assign chk_write_o = area_q != AreaDriver;
  always_comb begin
    chk_len_o = 32'd4;  // an event suppression structure
    unique case (area_q)
      AreaDriver: chk_addr_o = chk_cfg_i.driver;
      AreaDevice: chk_addr_o = chk_cfg_i.device;
      default: begin
        chk_addr_o = chk_cfg_i.desc;
        chk_len_o  = {12'd0, chk_cfg_i.size, 4'd0};
      end
    endcase
  end

  // ---- errors: a memory a port, so that none waits for another
  wire [ERROR_PORTS:0] stop;
  wire [ERROR_PORTS:0][QidxW-1:0] stop_queue;
  for (genvar p = 0; p <= ERROR_PORTS; p++) begin : gen_error
    detail_t mem[QUEUES];
    always_ff @(posedge clk) if (stop[p]) mem[stop_queue[p]] <= stop_detail[p];
    assign kept[p] = mem[vsel_queue_i];
    if (p < ERROR_PORTS) begin : gen_port
      assign stop_queue[p]  = error_i[p].vq[QidxW-1:0];
      assign stop[p]        = error_i[p].valid && enabled_q[stop_queue[p]] && !stopped_q[stop_queue[p]];
      assign stop_detail[p] = '{reason: error_i[p].reason, pos: error_i[p].pos, addr: error_i[p].addr};
    end
  end
  assign stop_queue[Own]  = config_stop ? sel : check_queue_q;
  assign stop[Own]        = config_stop || (area_stop && enabled_q[check_queue_q] && !stopped_q[check_queue_q]);
  assign stop_detail[Own] = '{
      reason: config_stop ? STOP_REASON_RING_CONFIG : STOP_REASON_WINDOW,
      pos: '0,
      addr: config_stop ? sel_cfg_i.desc : chk_addr_o
  };

  wire chk_busy = checking_q && check_queue_q == busy_pick_q;
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
    end
    if (queue_reset) resetting_q[sel] <= 1'b1;
    for (int p = ERROR_PORTS; p >= 0; p--) begin
      if (stop[p]) begin
        stopped_q[stop_queue[p]] <= 1'b1;
        who_q[stop_queue[p]]     <= WhoW'(p);
      end
    end

    // Windows that are turned on while a queue is enabled are checked at once, without a halt.
    windows_q <= windows_i;
    if (windows_i != windows_q) begin
      for (int q = 0; q < QUEUES; q++)
        if (windows_i[q/2] && !windows_q[q/2] && enabled_q[q]) check_q[q] <= 1'b1;
    end
    if (!checking_q && check_valid) begin
      checking_q          <= 1'b1;
      asked_q             <= 1'b0;
      area_q              <= AreaDesc;
      check_queue_q       <= check_pick;
      check_q[check_pick] <= 1'b0;
    end
    if (chk_valid_o && chk_ready_i) asked_q <= 1'b1;
    if (area_known) begin
      asked_q <= 1'b0;
      if (area_stop || area_q == AreaDevice) begin
        checking_q            <= 1'b0;
        hold_q[check_queue_q] <= 1'b0;
      end else area_q <= area_q == AreaDesc ? AreaDriver : AreaDevice;
    end
    if (enable && !config_bad && windows_i[PairW'(sel >> 1)]) begin
      check_q[sel] <= 1'b1;
      hold_q[sel]  <= 1'b1;
    end

    // One resetting queue at a time is watched until its engines have been quiet for a few cycles.
    any_resetting_q <= |resetting_q && !reset_finished;
    if (busy_i || chk_busy || !any_resetting_q || reset_finished) quiet_q <= 3'd0;
    else if (quiet_q != 3'd4) quiet_q <= quiet_q + 1'b1;
    if (!any_resetting_q && pick_valid) busy_pick_q <= pick;
    if (reset_finished) begin
      enabled_q[busy_pick_q]   <= 1'b0;
      resetting_q[busy_pick_q] <= 1'b0;
      stopped_q[busy_pick_q]   <= 1'b0;
      check_q[busy_pick_q]     <= 1'b0;
      hold_q[busy_pick_q]      <= 1'b0;
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
        check_q         <= '0;
        hold_q          <= '0;
        checking_q      <= 1'b0;
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
      check_q         <= '0;
      hold_q          <= '0;
      checking_q      <= 1'b0;
      windows_q       <= '0;
      check_queue_q   <= '0;
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
  wire unused = &{1'b0, sel_cfg_i.vector, chk_cfg_i.vector};
endmodule
`default_nettype wire
