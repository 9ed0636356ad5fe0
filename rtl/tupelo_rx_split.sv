// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_split - finds the buffers for each received frame and cuts them into writes
// Guarantees: frames in order; a frame takes one chain, with mergeable buffers as many as it needs, each of them but
//   the last filled wholly (VIRTIO 1.2 section 5.1.6.4); how many is known before the first byte is written, and no
//   chain is used up unless all fits. One write command of up to 256 bytes or one descriptor a cycle.
//   No queue waits for another one's buffers: a frame for a queue without enough of them is dropped and counted at
//   once if the queue is asleep. If more may come it waits, on the queue's account: 16,320 cycles when it becomes
//   active, 256 more (a memory round trip) for each frame delivered to it, no more than 16,320 together. So that is
//   what a queue can hold up the others for, however often its doorbell rings.
//   A frame that does not fit what the cache holds when it is full, DESC_CACHE - 15 descriptors at least, is too large
//   for the buffers.
// Clock/reset: clk; rst synchronous, active high.
// Contract: descriptors as tupelo_desc_cache gives them: what is presented is seen a cycle later, an
//   address presented with a pop counts from behind it. desc_level_i: descriptors of whole chains from the head on.
//   chain_ready_i, awake_i as tupelo_desc_fetch gives them. Commands hold until ready. mrg_i and hdr_bytes_i do not
//   change while frames are inside.
// How: a frame that does not fit the first descriptor is counted through first (mergeable only), a descriptor a cycle.
`default_nettype none
module tupelo_rx_split
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES     = 16,  // virtqueues, 2..128
    parameter integer DESC_CACHE = 64,  // descriptors cached a queue
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    input  wire               mrg_i,
    input  wire  [       4:0] hdr_bytes_i,
    input  wire  [QUEUES-1:0] active_i,
    input  wire  [QUEUES-1:0] stopped_i,
    input  wire  [QUEUES-1:0] awake_i,
    input  wire  [QUEUES-1:0] chain_ready_i,
    // the next frame
    input  wire               frame_valid,
    output wire               frame_ready,
    input  wire  rx_frame_t   frame_i,
    // cached descriptors
    output wire  [ QidxW-1:0] desc_queue_o,
    output logic [       7:0] desc_offset_o,
    input  wire  desc_t       desc_i,
    input  wire               desc_indirect_i,  // it came out of a table: the chain is one descriptor of the ring
    input  wire  [       7:0] desc_level_i,
    output wire               desc_pop_o,
    output wire  [       7:0] desc_pop_descs_o,
    // commands
    output wire               cmd_valid,
    input  wire               cmd_ready,
    output wire  [      63:0] cmd_addr_o,
    output wire  [       8:0] cmd_bytes_o,      // 0 where only a completion or an abort is told
    output wire               cmd_eof_o,        // the frame's last byte is in this write
    output wire               cmd_comp_o,       // the chain is finished with this command
    output wire               cmd_end_o,        // ... and it is the frame's last
    output wire               cmd_abort_o,      // throw away what is left of the frame
    output wire  completion_t cmd_chain_o,
    output wire  rx_frame_t   cmd_frame_o,
    output wire  [       7:0] cmd_buffers_o,    // chains that the frame takes
    // statistics, one pulse a frame that is not delivered
    output wire               drop_o,
    output logic [       5:0] drop_stat_o,
    output wire  [ QidxW-1:0] drop_queue_o,
    // queue reset
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o
);
  typedef enum logic [1:0] {
    StIdle,
    StCount,
    StWrite,
    StRest
  } state_e;
  state_e state_q;
  localparam logic [7:0] WaitMost = 8'd255;  // in units of 64 cycles
  localparam logic [7:0] WaitEarned = 8'd4;  // a frame

  rx_frame_t frame_q;
  logic [QidxW-1:0] queue_q;
  logic [63:0] addr_q;
  logic [31:0] len_q;  // left of the current descriptor
  logic last_q;  // it ends the chain
  logic indirect_q;
  logic [15:0] id_q;
  logic [13:0] left_q;  // bytes of header and frame
  logic [13:0] filled_q;  // bytes written into the current chain
  logic [7:0] descs_q;  // descriptors of the chain looked at
  logic [7:0] buffers_q;
  logic [13:0] need_q;  // counting: bytes that have no place yet

  // ---- what was presented to the cache
  logic [QidxW-1:0] at_queue_q;
  logic [7:0] at_offset_q;
  logic at_asleep_q;

  wire idle = state_q == StIdle;
  wire count = state_q == StCount;
  wire write = state_q == StWrite;
  wire rest = state_q == StRest;
  wire [QidxW-1:0] frame_queue = frame_i.vq[QidxW-1:0];
  wire [QidxW-1:0] queue = idle ? frame_queue : queue_q;
  wire [13:0] total = frame_i.bytes + 14'(hdr_bytes_i);

  // ---- waiting for descriptors
  logic [5:0] wait_q;
  logic [7:0] account_mem[QUEUES];  // what the queue may still wait
  logic [QUEUES-1:0] used_q;  // ... if it has waited at all: else all
  wire [7:0] account = used_q[queue] ? account_mem[queue] : WaitMost;
  // The level seen is a cycle old: asleep counts only if it was so already when the level was taken.
  wire asleep = at_asleep_q && !awake_i[queue];
  wire patient = !asleep && account != 8'd0;
  wire up = active_i[queue];
  wire known = at_queue_q == frame_queue && at_offset_q == 8'd0;
  wire pending = idle && frame_valid && !halt_i;
  wire enough = known && desc_level_i != 8'd0;
  wire begin_ok = pending && !frame_i.drop && up && enough;
  wire starve = idle ? pending && known && !enough && !chain_ready_i[queue] : count && at_offset_q >= desc_level_i;
  // A read of 16 descriptors is not asked for unless all of it has room: the cache may hold no more than it does.
  wire cramped = count && desc_level_i > 8'(DESC_CACHE - 16);
  wire give_up = !halt_i && starve && (!up || !patient || cramped);
  wire refuse = idle ? pending && (frame_i.drop || !up || give_up) : count && give_up;

  // ---- counting
  wire look = count && at_offset_q < desc_level_i;
  wire fits_here = desc_i.len >= {18'd0, need_q};
  wire counted = look && fits_here;
  wire direct = !mrg_i || desc_i.len >= {18'd0, total};  // one buffer, or all in the first descriptor

  // ---- the current descriptor, cut at 256-byte lines and at the frame's end
  wire [8:0] to_line = 9'd256 - {1'b0, addr_q[7:0]};
  wire [31:0] fits = {18'd0, left_q} < len_q ? {18'd0, left_q} : len_q;
  wire line_last = fits <= {23'd0, to_line};
  wire [8:0] piece = line_last ? fits[8:0] : to_line;
  wire eof = {5'd0, piece} == left_q;
  wire desc_done = {23'd0, piece} == len_q;
  wire full = desc_done && last_q && !eof;  // the chain, and there is more
  wire [13:0] filled = filled_q + (write ? {5'd0, piece} : 14'd0);

  // StWrite's commands carry data; too small a chain is told in StRest by an abort.
  logic abort_q;
  wire rest_tell = rest && (abort_q || last_q);

  assign cmd_valid     = write || rest_tell || refuse;
  assign cmd_addr_o    = addr_q;
  assign cmd_bytes_o   = write ? piece : 9'd0;
  assign cmd_eof_o     = write && eof;
  assign cmd_end_o     = (write && eof && last_q) || (rest_tell && !abort_q);
  assign cmd_comp_o    = cmd_end_o || (write && full && mrg_i);
  assign cmd_abort_o   = refuse || (rest && abort_q);
  assign cmd_frame_o   = idle ? frame_i : frame_q;
  assign cmd_buffers_o = buffers_q;
  assign cmd_chain_o   = '{
          vq: 7'(queue_q),
          id: id_q,
          chain_descs: indirect_q ? 16'd1 : {8'd0, descs_q},
          len_bytes: {18'd0, filled}
      };

  wire go = cmd_valid && cmd_ready;
  wire next_chain = write && go && full && mrg_i;
  wire load = begin_ok || next_chain || (write && go && (desc_done || eof) && !last_q) || (rest && !abort_q && !last_q);

  // In a frame the descriptor behind the one in hand is always presented; idle, the next frame's first.
  wire pop = go && cmd_comp_o;
  wire turn = pop && cmd_end_o;  // to the next frame
  wire [7:0] offset = idle ? 8'd0 : count ? at_offset_q : pop ? 8'd0 : descs_q;
  assign desc_queue_o = turn ? frame_queue : queue;
  always_comb begin
    if (count) desc_offset_o = counted ? 8'd1 : offset + 8'(look);
    else desc_offset_o = offset + 8'(load);
  end
  assign desc_pop_o       = pop;
  assign desc_pop_descs_o = descs_q;
  assign frame_ready      = begin_ok || (idle && refuse && go);
  assign drop_o           = go && cmd_abort_o;
  assign drop_queue_o     = queue;
  assign busy_o           = !idle && queue_q == busy_queue_i;

  always_comb begin
    if (idle && frame_i.drop) drop_stat_o = 6'(STAT_RX_DROP_FILTER);
    else if (!rest && stopped_i[queue]) drop_stat_o = 6'(STAT_RX_DROP_QUEUE_ERROR);
    else if (rest || (cramped && !asleep)) drop_stat_o = 6'(STAT_RX_DROP_TOO_SMALL);
    else drop_stat_o = 6'(STAT_RX_DROP_NO_BUFFER);
  end

  always_ff @(posedge clk) begin
    at_queue_q  <= desc_queue_o;
    at_offset_q <= desc_offset_o;
    at_asleep_q <= !awake_i[desc_queue_o];
    wait_q      <= starve ? wait_q + 1'b1 : '0;
    used_q      <= used_q & active_i;
    if (starve && wait_q == '1 && account != 8'd0) begin
      account_mem[queue] <= account - 8'd1;
      used_q[queue]      <= 1'b1;
    end
    if (write && go && eof && used_q[queue])
      account_mem[queue] <= account > WaitMost - WaitEarned ? WaitMost : account + WaitEarned;

    unique case (state_q)
      StIdle: if (begin_ok) begin
        state_q   <= direct ? StWrite : StCount;
        abort_q   <= 1'b0;
        queue_q   <= frame_queue;
        frame_q   <= frame_i;
        left_q    <= total;
        filled_q  <= '0;
        need_q    <= total - desc_i.len[13:0];
        buffers_q <= direct || desc_i.flags[DescNext] ? 8'd1 : 8'd2;
      end
      StCount: begin
        if (counted) state_q <= StWrite;
        else if (look) begin
          need_q <= need_q - desc_i.len[13:0];
          if (!desc_i.flags[DescNext]) buffers_q <= buffers_q + 8'd1;
        end else if (give_up && go) state_q <= StIdle;
      end
      StWrite: if (go) begin
        addr_q   <= addr_q + {55'd0, piece};
        len_q    <= len_q - {23'd0, piece};
        left_q   <= left_q - {5'd0, piece};
        filled_q <= full ? '0 : filled;
        if (eof) state_q <= last_q ? StIdle : StRest;
        else if (full && !mrg_i) begin
          abort_q <= 1'b1;
          state_q <= StRest;
        end
      end
      default: if (go) state_q <= StIdle;  // StRest: to the end of the chain, whose id is in its last descriptor
    endcase
    if (load) begin
      addr_q     <= desc_i.addr;
      len_q      <= desc_i.len;
      last_q     <= !desc_i.flags[DescNext];
      indirect_q <= desc_indirect_i;
      id_q       <= desc_i.id;
      descs_q    <= begin_ok || next_chain ? 8'd1 : descs_q + 8'd1;
    end
    if (rst) begin
      state_q <= StIdle;
      used_q  <= '0;
      wait_q  <= '0;
    end
  end
endmodule
`default_nettype wire
