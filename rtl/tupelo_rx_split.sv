// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_split - finds the buffers for each received frame and cuts them into writes
// Guarantees: frames in order; a frame takes exactly one chain (no mergeable buffers negotiated) and uses it up only
//   if it fits; one write command of up to 256 bytes or one descriptor a cycle. No queue waits for another one's
//   buffers: a frame for a queue that has none and is asleep is dropped and counted at once.
// Clock/reset: clk; rst synchronous, active high.
// Contract: chain_ready_i, awake_i as tupelo_desc_cache and tupelo_desc_fetch give them. Commands hold until ready.
`default_nettype none
module tupelo_rx_split
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    input  wire  [QUEUES-1:0] active_i,
    input  wire  [QUEUES-1:0] stopped_i,
    input  wire  [QUEUES-1:0] awake_i,
    input  wire  [QUEUES-1:0] chain_ready_i,
    // the next frame
    input  wire               frame_valid,
    output wire               frame_ready,
    input  wire  [      13:0] frame_bytes_i,
    input  wire  [ QidxW-1:0] frame_queue_i,
    // cached descriptors
    output wire  [ QidxW-1:0] desc_queue_o,
    output wire  [       7:0] desc_offset_o,
    input  wire  desc_t       desc_i,
    output wire               desc_pop_o,
    output wire  [       7:0] desc_pop_descs_o,
    // commands
    output wire               cmd_valid,
    input  wire               cmd_ready,
    output wire  [      63:0] cmd_addr_o,
    output wire  [       8:0] cmd_bytes_o,      // 0 where only a completion or an abort is told
    output wire               cmd_eof_o,        // the frame's last byte is in this write
    output wire               cmd_comp_o,       // the chain is finished with this command
    output wire               cmd_abort_o,      // throw away what is left of the frame
    output wire  completion_t cmd_chain_o,
    // statistics, one pulse a frame that is not delivered
    output wire               drop_o,
    output logic [       5:0] drop_stat_o,
    // queue reset
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o
);
  typedef enum logic [1:0] {
    StIdle,
    StWrite,
    StRest
  } state_e;
  state_e state_q;

  logic [QidxW-1:0] queue_q;
  logic [63:0] addr_q;
  logic [31:0] len_q;  // left of the current descriptor
  logic last_q;  // it ends the chain
  logic [15:0] id_q;
  logic [13:0] left_q, total_q;  // bytes of header and frame
  logic [7:0] descs_q;  // descriptors looked at

  wire queue_up = active_i[frame_queue_i];
  wire begin_ok = state_q == StIdle && frame_valid && !halt_i && queue_up && chain_ready_i[frame_queue_i];
  wire refuse = state_q == StIdle && frame_valid && !halt_i
      && (!queue_up || (!chain_ready_i[frame_queue_i] && !awake_i[frame_queue_i]));

  // The current descriptor, cut at 256-byte lines and at the frame's end.
  wire [8:0] to_line = 9'd256 - {1'b0, addr_q[7:0]};
  wire [31:0] fits = {18'd0, left_q} < len_q ? {18'd0, left_q} : len_q;
  wire line_last = fits <= {23'd0, to_line};
  wire [8:0] piece = line_last ? fits[8:0] : to_line;
  wire eof = {5'd0, piece} == left_q;
  wire desc_done = {23'd0, piece} == len_q;
  wire too_small = desc_done && last_q && !eof;

  // StWrite's commands carry data; too small a chain is told in StRest by an abort.
  logic abort_q;
  wire write = state_q == StWrite;
  wire rest = state_q == StRest;
  wire rest_tell = rest && (abort_q || last_q);

  assign cmd_valid   = write || rest_tell || refuse;
  assign cmd_addr_o  = addr_q;
  assign cmd_bytes_o = write ? piece : 9'd0;
  assign cmd_eof_o   = write && eof;
  assign cmd_comp_o  = (write && eof && last_q) || (rest_tell && !abort_q);
  assign cmd_abort_o = refuse || (rest && abort_q);
  assign cmd_chain_o = '{vq: 7'(queue_q), id: id_q, chain_descs: {8'd0, descs_q}, len_bytes: {18'd0, total_q}};

  wire go = cmd_valid && cmd_ready;
  wire load = begin_ok || (write && go && desc_done && !last_q && !eof) || (write && go && eof && !last_q)
      || (rest && !abort_q && !last_q);

  assign desc_queue_o     = state_q == StIdle ? frame_queue_i : queue_q;
  assign desc_offset_o    = state_q == StIdle ? 8'd0 : descs_q;
  assign desc_pop_o       = go && cmd_comp_o;
  assign desc_pop_descs_o = descs_q;
  assign frame_ready      = begin_ok || (refuse && go);
  assign drop_o           = go && cmd_abort_o;
  assign busy_o           = state_q != StIdle && queue_q == busy_queue_i;

  always_comb begin
    if (state_q != StIdle) drop_stat_o = 6'(STAT_RX_DROP_TOO_SMALL);
    else if (stopped_i[frame_queue_i]) drop_stat_o = 6'(STAT_RX_DROP_QUEUE_ERROR);
    else drop_stat_o = 6'(STAT_RX_DROP_NO_BUFFER);
  end

  always_ff @(posedge clk) begin
    unique case (state_q)
      StIdle: if (begin_ok) begin
        state_q <= StWrite;
        abort_q <= 1'b0;
        queue_q <= frame_queue_i;
        left_q  <= frame_bytes_i + 14'(HdrBytes);
        total_q <= frame_bytes_i + 14'(HdrBytes);
      end
      StWrite: if (go) begin
        addr_q <= addr_q + {55'd0, piece};
        len_q  <= len_q - {23'd0, piece};
        left_q <= left_q - {5'd0, piece};
        if (eof) state_q <= last_q ? StIdle : StRest;
        else if (too_small) begin
          abort_q <= 1'b1;
          state_q <= StRest;
        end
      end
      default: if (go) state_q <= StIdle;  // StRest: to the end of the chain, whose id is in its last descriptor
    endcase
    if (load) begin
      addr_q  <= desc_i.addr;
      len_q   <= desc_i.len;
      last_q  <= !desc_i.flags[DescNext];
      id_q    <= desc_i.id;
      descs_q <= begin_ok ? 8'd1 : descs_q + 8'd1;
    end
    if (rst) state_q <= StIdle;
  end
endmodule
`default_nettype wire
