// SPDX-License-Identifier: Apache-2.0
// tupelo_dma_wr - the AXI4 write master: frame data, used descriptors and event structures share it
// Guarantees: one beat a cycle; data and used descriptors of a queue carry one ID and are issued in the order in
//   which they are given, so they become visible in it; each answer is told with its kind, an error with its address.
// Clock/reset: clk; rst synchronous, active high. idle_o: no write is under way.
// Contract: s_* hold until ready; a data burst's beats follow its first without a gap that lasts for ever.
//   No more than 255 unanswered writes a queue. halt_i stops new bursts, one begun is finished.
`default_nettype none
module tupelo_dma_wr
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,   // virtqueues, 2..128
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer QidxW = $clog2(QUEUES),
    localparam integer StrbW = DATA_W / 8
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    // frame data
    input  wire               s_data_valid,
    output wire               s_data_ready,
    input  wire               s_data_first,
    input  wire               s_data_last,
    input  wire  [      63:0] s_data_addr,    // with first: byte address
    input  wire  [       8:0] s_data_bytes,   // with first: 1..256, inside one 256-byte line
    input  wire  [ QidxW-1:0] s_data_queue,
    input  wire  [DATA_W-1:0] s_data_data,
    input  wire  [ StrbW-1:0] s_data_strb,
    // used descriptors: one beat
    input  wire               s_used_valid,
    output wire               s_used_ready,
    input  wire  [      63:0] s_used_addr,
    input  wire  [ QidxW-1:0] s_used_queue,
    input  wire  [DATA_W-1:0] s_used_data,
    input  wire  [ StrbW-1:0] s_used_strb,
    input  wire  ring_pos_t   s_used_pos,
    input  wire               s_used_quiet,   // no used_done_o for it
    // event structures: four bytes
    input  wire               s_event_valid,
    output wire               s_event_ready,
    input  wire  [      63:0] s_event_addr,
    input  wire  [ QidxW-1:0] s_event_queue,
    input  wire  [      31:0] s_event_data,
    // AXI4
    output wire  [       7:0] m_axi_awid,
    output wire  [      63:0] m_axi_awaddr,
    output wire  [       7:0] m_axi_awlen,
    output wire  [       7:0] m_axi_awuser,
    output wire               m_axi_awvalid,
    input  wire               m_axi_awready,
    output wire  [DATA_W-1:0] m_axi_wdata,
    output wire  [ StrbW-1:0] m_axi_wstrb,
    output wire               m_axi_wlast,
    output wire               m_axi_wvalid,
    input  wire               m_axi_wready,
    input  wire  [       7:0] m_axi_bid,
    input  wire  [       1:0] m_axi_bresp,
    input  wire               m_axi_bvalid,
    // answers
    output wire               used_done_o,    // pulse: used descriptors of done_queue_o up to done_pos_o are visible
    output wire  [ QidxW-1:0] done_queue_o,
    output wire  ring_pos_t   done_pos_o,
    output wire               event_done_o,   // pulse: the event structure of event_queue_o is visible
    output wire  [ QidxW-1:0] event_queue_o,
    output wire  queue_error_t error_o,
    // queue and device reset
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o,
    output wire               idle_o
);
  localparam integer BeatShift = $clog2(StrbW);
  localparam integer Depth = 256;  // unanswered writes remembered a queue
  typedef struct packed {
    logic        used;
    logic        quiet;
    ring_pos_t   pos;
    logic [63:0] addr;
  } note_t;

  note_t note_mem[QUEUES*Depth];
  logic [7:0] wr_mem[QUEUES];  // writes issued and answered, modulo 256
  logic [7:0] rd_mem[QUEUES];
  logic [63:0] event_addr_mem[QUEUES];
  note_t note_q;

  logic mid_q, awvalid_q, wvalid_q, wlast_q;
  logic [7:0] awid_q, awlen_q, awuser_q;
  logic [63:0] awaddr_q;
  logic [DATA_W-1:0] wdata_q;
  logic [StrbW-1:0] wstrb_q;
  logic [14:0] open_q;
  logic [QUEUES-1:0] setup_q;  // the counters of this queue are valid

  wire aw_free = !awvalid_q || m_axi_awready;
  wire w_free = !wvalid_q || m_axi_wready;
  wire start_ok = !mid_q && aw_free && w_free && !halt_i;

  wire [QidxW-1:0] queue = s_used_valid ? s_used_queue : s_data_queue;
  wire [7:0] count = setup_q[queue] ? wr_mem[queue] : 8'd0;
  wire [7:0] answered = setup_q[queue] ? rd_mem[queue] : 8'd0;
  wire [7:0] open_of_queue = count - answered;
  wire room = open_of_queue < 8'(Depth - 1);

  assign s_event_ready = start_ok;
  assign s_used_ready  = start_ok && !s_event_valid && room;
  assign s_data_ready  = mid_q ? w_free : start_ok && !s_event_valid && !s_used_valid && room;

  wire do_event = s_event_valid && s_event_ready;
  wire do_used = s_used_valid && s_used_ready;
  wire do_data = s_data_valid && s_data_ready;
  wire first = do_event || do_used || (do_data && !mid_q);

  wire [8:0] last_byte = {1'b0, s_data_addr[7:0]} + s_data_bytes - 9'd1;
  wire [8:0] data_len = (last_byte >> BeatShift) - ({1'b0, s_data_addr[7:0]} >> BeatShift);
  wire [63:0] addr = do_event ? s_event_addr : do_used ? s_used_addr : s_data_addr;

  assign m_axi_awvalid = awvalid_q;
  assign m_axi_awid    = awid_q;
  assign m_axi_awaddr  = awaddr_q;
  assign m_axi_awlen   = awlen_q;
  assign m_axi_awuser  = awuser_q;
  assign m_axi_wvalid  = wvalid_q;
  assign m_axi_wdata   = wdata_q;
  assign m_axi_wstrb   = wstrb_q;
  assign m_axi_wlast   = wlast_q;

  // ---- answers, a cycle later with what was remembered of the write
  logic b_valid_q, b_event_q, b_err_q;
  logic [QidxW-1:0] b_queue_q;
  wire [QidxW-1:0] b_queue = m_axi_bid[QidxW-1:0];
  wire b_event = m_axi_bid[7];

  assign used_done_o   = b_valid_q && !b_event_q && note_q.used && !note_q.quiet && !b_err_q;
  assign done_queue_o  = b_queue_q;
  assign done_pos_o    = note_q.pos;
  assign event_done_o  = b_valid_q && b_event_q;
  assign event_queue_o = b_queue_q;
  assign error_o = '{
      valid: b_valid_q && b_err_q,
      vq: 7'(b_queue_q),
      reason: b_event_q ? STOP_REASON_EVENT_WRITE : note_q.used ? STOP_REASON_USED_WRITE : STOP_REASON_DATA_WRITE,
      pos: b_event_q || !note_q.used ? '0 : note_q.pos,
      addr: b_event_q ? event_addr_mem[b_queue_q] : note_q.addr
  };
  assign idle_o = !awvalid_q && !wvalid_q && !mid_q && open_q == '0 && !b_valid_q;
  assign busy_o = (setup_q[busy_queue_i] && wr_mem[busy_queue_i] != rd_mem[busy_queue_i])
      || (b_valid_q && b_queue_q == busy_queue_i);

  always_ff @(posedge clk) begin
    if (m_axi_awready) awvalid_q <= 1'b0;
    if (m_axi_wready) wvalid_q <= 1'b0;
    if (first) begin
      awvalid_q <= 1'b1;
      awid_q    <= do_event ? WriteIdEvent | 8'(s_event_queue) : 8'(queue);
      awuser_q  <= do_event ? 8'(s_event_queue) : 8'(queue);
      awaddr_q  <= {addr[63:BeatShift], {BeatShift{1'b0}}};
      awlen_q   <= do_data ? data_len[7:0] : 8'd0;
    end
    if (do_event || do_used || do_data) begin
      wvalid_q <= 1'b1;
      wdata_q  <= do_event ? {(DATA_W / 32) {s_event_data}} : do_used ? s_used_data : s_data_data;
      wstrb_q  <= do_event ? StrbW'(4'hf) << s_event_addr[BeatShift-1:0] : do_used ? s_used_strb : s_data_strb;
      wlast_q  <= !do_data || s_data_last;
    end
    if (do_data) mid_q <= !s_data_last;
    if (do_event) event_addr_mem[s_event_queue] <= s_event_addr;
    if (do_used || (do_data && !mid_q)) begin
      note_mem[{queue, count}] <= '{used: do_used, quiet: s_used_quiet, pos: s_used_pos, addr: addr};
      wr_mem[queue]  <= count + 8'd1;
      setup_q[queue] <= 1'b1;
      if (!setup_q[queue]) rd_mem[queue] <= 8'd0;
    end

    b_valid_q <= m_axi_bvalid;
    if (m_axi_bvalid) begin
      b_event_q <= b_event;
      b_err_q   <= m_axi_bresp[1];
      b_queue_q <= b_queue;
      if (!b_event) begin
        note_q          <= note_mem[{b_queue, rd_mem[b_queue]}];
        rd_mem[b_queue] <= rd_mem[b_queue] + 8'd1;
      end
    end
    open_q <= open_q + 15'(first) - 15'(m_axi_bvalid);
    if (rst) begin
      mid_q     <= 1'b0;
      awvalid_q <= 1'b0;
      wvalid_q  <= 1'b0;
      b_valid_q <= 1'b0;
      open_q    <= '0;
      setup_q   <= '0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && do_data && s_data_first == mid_q) $fatal(1, "%m burst: first beat flag does not fit at %0t", $time);
    if (!rst && first && do_data && {1'b0, s_data_addr[7:0]} + s_data_bytes > 9'd256)
      $fatal(1, "%m line: data write %h + %0d leaves its 256-byte line at %0t", s_data_addr, s_data_bytes, $time);
    if (!rst && m_axi_bvalid && open_q == '0)
      $fatal(1, "%m answer: write response that nobody waits for, id %h at %0t", m_axi_bid, $time);
  end
`endif
  wire unused = &{1'b0, m_axi_bid, m_axi_bresp[0], data_len[8], s_data_first, s_event_addr[1:0]};
endmodule
`default_nettype wire
