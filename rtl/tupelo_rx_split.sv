// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_split - finds the buffers for each received frame and cuts them into writes
// Guarantees: frames as they are offered; a frame takes one chain, with mergeable buffers as many as it needs, each of
//   them but the last filled wholly (VIRTIO 1.2 section 5.1.6.4); how many is known before the first byte is written,
//   and no chain is used up unless all fits. One write command of up to 256 bytes or one descriptor a cycle.
//   No queue waits for another one's buffers: a frame that does not fit what is cached goes back to where it was, and
//   what has been counted is remembered. Whether it waits on there is tupelo_rx_choose's business.
//   A frame that does not fit what the cache holds when it is full, DESC_CACHE - 15 descriptors at least, is too large
//   for the buffers, and dropped, unless its queue is asleep: then it is short of buffers first of all.
// Clock/reset: clk; rst synchronous, active high.
// Contract: descriptors as tupelo_desc_cache gives them: what is presented is seen a cycle later, an
//   address presented with a pop counts from behind it. desc_level_i: descriptors of whole chains from the head on.
//   awake_i as tupelo_desc_fetch gives it. Commands hold until ready. mrg_i and hdr_bytes_i do not change while frames
//   are inside. The frame on offer stays until take_o, drop_o or back_o while hold_o, else it may be exchanged.
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
    input  wire  [QUEUES-1:0] awake_i,
    // the frame on offer
    input  wire               frame_valid,
    input  wire  rx_frame_t   frame_i,
    input  wire               resume_i,         // it has been back_o before
    input  wire  [ QidxW-1:0] next_queue_i,     // of the offer in the next cycle
    input  wire               next_resume_i,
    output wire               hold_o,           // it is being counted through
    output wire               take_o,           // it is going to be written
    output wire               refuse_o,         // it is dropped, nothing of it has been written
    output wire               back_o,           // it needs more chains than are cached
    output wire               dry_o,            // the last cached chain of dry_queue_o leaves
    output wire  [ QidxW-1:0] dry_queue_o,
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
    // statistics, one pulse a frame that is too large for the buffers
    output wire               drop_o,
    output wire  [ QidxW-1:0] drop_queue_o,
    // queue reset
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o
);
  typedef enum logic [2:0] {
    StIdle,
    StCount,
    StFirst,
    StWrite,
    StRest
  } state_e;
  state_e state_q;
  // How far the first frame of a queue has been counted through.
  typedef struct packed {
    logic [7:0]  offset;   // the descriptor to look at next
    logic [13:0] need;     // bytes that have no place yet
    logic [7:0]  buffers;  // with that descriptor's
  } progress_t;

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
  logic resumed_q;  // counting: the first descriptor is not in hand
  progress_t progress_mem[QUEUES];

  // ---- what was presented to the cache
  logic [QidxW-1:0] at_queue_q;
  logic [7:0] at_offset_q;
  logic at_asleep_q;

  wire idle = state_q == StIdle;
  wire count = state_q == StCount;
  wire first = state_q == StFirst;
  wire write = state_q == StWrite;
  wire rest = state_q == StRest;
  wire [QidxW-1:0] frame_queue = frame_i.vq[QidxW-1:0];
  wire [QidxW-1:0] queue = idle ? frame_queue : queue_q;
  wire [13:0] total = frame_i.bytes + 14'(hdr_bytes_i);

  // ---- does the queue have what it takes?
  wire progress_t progress = progress_mem[frame_queue];
  wire [7:0] begin_at = resume_i ? progress.offset : 8'd0;
  wire up = active_i[queue];
  wire pending = idle && frame_valid && up && !halt_i && at_queue_q == frame_queue && at_offset_q == begin_at;
  wire enough = at_offset_q < desc_level_i;
  wire begin_ok = pending && enough;
  wire starve = (count || (pending && resume_i)) && !enough;
  // The level seen is a cycle old: asleep counts only if it was so already when the level was taken.
  wire asleep = at_asleep_q && !awake_i[queue];
  // A read of 16 descriptors is not asked for unless all of it has room: the cache may hold no more than it does.
  wire cramped = desc_level_i > 8'(DESC_CACHE - 16);
  wire refuse = count && starve && up && cramped && !asleep;

  // ---- counting
  wire look = count && enough;
  wire fits_here = desc_i.len >= {18'd0, need_q};
  wire counted = look && fits_here;
  // One buffer, or all in the first descriptor.
  wire direct = !resume_i && (!mrg_i || desc_i.len >= {18'd0, total});

  assign hold_o      = count;
  assign take_o      = (begin_ok && direct) || counted;
  assign refuse_o    = refuse;
  assign back_o      = starve && !refuse;

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

  assign cmd_valid     = write || rest_tell;
  assign cmd_addr_o    = addr_q;
  assign cmd_bytes_o   = write ? piece : 9'd0;
  assign cmd_eof_o     = write && eof;
  assign cmd_end_o     = (write && eof && last_q) || (rest_tell && !abort_q);
  assign cmd_comp_o    = cmd_end_o || (write && full && mrg_i);
  assign cmd_abort_o   = rest && abort_q;
  assign cmd_frame_o   = frame_q;
  assign cmd_buffers_o = buffers_q;
  assign cmd_chain_o   = '{
          vq: 7'(queue_q),
          id: id_q,
          chain_descs: indirect_q ? 16'd1 : {8'd0, descs_q},
          len_bytes: {18'd0, filled}
      };

  wire go = cmd_valid && cmd_ready;
  wire next_chain = write && go && full && mrg_i;
  wire load = (begin_ok && !resume_i) || first || next_chain
      || (write && go && (desc_done || eof) && !last_q) || (rest && !abort_q && !last_q);

  // In a frame the descriptor behind the one in hand is always presented; idle, the next frame's first.
  wire pop = go && cmd_comp_o;
  wire turn = (pop && cmd_end_o) || (idle && !begin_ok);  // to the next frame
  assign desc_queue_o = turn ? next_queue_i : queue;
  always_comb begin
    if (turn) desc_offset_o = next_resume_i ? progress_mem[next_queue_i].offset : 8'd0;
    else if (idle) desc_offset_o = resume_i ? at_offset_q : 8'd1;
    else if (count) desc_offset_o = counted ? {7'd0, !resumed_q} : at_offset_q + 8'(look);
    else desc_offset_o = (pop || first ? 8'd0 : descs_q) + 8'(load);
  end
  assign desc_pop_o       = pop;
  assign desc_pop_descs_o = descs_q;
  assign dry_o            = pop && desc_level_i == descs_q;
  assign dry_queue_o      = queue_q;
  assign drop_o           = refuse || (go && cmd_abort_o);
  assign drop_queue_o     = queue_q;
  assign busy_o           = !idle && queue_q == busy_queue_i;

  always_ff @(posedge clk) begin
    at_queue_q  <= desc_queue_o;
    at_offset_q <= desc_offset_o;
    at_asleep_q <= !awake_i[desc_queue_o];
    if (count && back_o) progress_mem[queue_q] <= '{offset: at_offset_q, need: need_q, buffers: buffers_q};

    unique case (state_q)
      StIdle: if (begin_ok) begin
        state_q   <= direct ? StWrite : StCount;
        abort_q   <= 1'b0;
        queue_q   <= frame_queue;
        frame_q   <= frame_i;
        left_q    <= total;
        filled_q  <= '0;
        need_q    <= resume_i ? progress.need : total - desc_i.len[13:0];
        buffers_q <= resume_i ? progress.buffers : direct || desc_i.flags[DescNext] ? 8'd1 : 8'd2;
        resumed_q <= resume_i;
      end
      StCount: begin
        if (counted) state_q <= resumed_q ? StFirst : StWrite;
        else if (look) begin
          need_q <= need_q - desc_i.len[13:0];
          if (!desc_i.flags[DescNext]) buffers_q <= buffers_q + 8'd1;
        end else state_q <= StIdle;
      end
      StFirst: state_q <= StWrite;  // back from the descriptor counted last
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
      descs_q    <= begin_ok || first || next_chain ? 8'd1 : descs_q + 8'd1;
    end
    if (rst) begin
      state_q <= StIdle;
    end
  end
endmodule
`default_nettype wire
