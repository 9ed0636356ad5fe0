// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_read - walks the transmit chains that the scheduler picks and asks for their bytes
// Guarantees: a chain is begun only when all of its descriptors are cached, so one queue cannot hold up another;
//   one read of up to 256 bytes or one descriptor a cycle; every chain ends in exactly one slot marked eof, also
//   one that is too long (it is not read further) or too short.
// Clock/reset: clk; rst synchronous, active high.
// Contract: slots are handed out in order (tupelo_rd_slots); a request takes a slot in the same cycle. A chain's bytes
//   are charged when its last descriptor is taken from the cache (tupelo_tx_sched): a frame's 60 at least, and no less
//   than read_cost_i for each read, so that many small pieces are not cheap.
`default_nettype none
module tupelo_tx_read
  import tupelo_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    input  wire               hash_hdr_i,      // the header has 20 bytes
    input  wire  [       7:0] read_cost_i,     // least charge of a read, bytes
    input  wire               tso_i,           // frames to be segmented may come: up to 64 KiB
    // the scheduler's choice
    input  wire               pick_valid,
    input  wire  [ QidxW-1:0] pick_i,
    input  wire  [ QidxW-1:0] show_i,          // likely to be the pick in the next cycle
    output wire               charge_o,        // pulse: bytes of the chain begun last
    output wire  [ QidxW-1:0] charge_queue_o,
    output wire  [      16:0] charge_bytes_o,  // without the header
    // cached descriptors: of the queue named a cycle before
    output wire  [ QidxW-1:0] desc_queue_o,
    input  wire  desc_t       desc_i,
    input  wire               desc_valid_i,    // it belongs to a whole chain
    input  wire               desc_indirect_i, // the chain takes one slot of the ring
    output wire               desc_pop_o,
    // a slot: the bytes of one read, in order
    output wire               slot_valid,
    input  wire               slot_ready,
    output wire               slot_read_o,     // there are bytes to read; without it the slot is only an end mark
    output wire  [      63:0] slot_addr_o,
    output wire  [       8:0] slot_bytes_o,    // 0..256
    output wire               slot_sof_o,
    output wire               slot_eof_o,
    output wire               slot_short_o,    // with eof: fewer bytes than a header and a frame need
    output wire               slot_long_o,     // with eof: more than the largest frame
    output wire  completion_t slot_chain_o,    // with eof
    // queue reset: chains of busy_queue_i begun, minus those in ended_i, are inside
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o,
    output wire               begin_o,         // pulse: a chain of begin_queue_o has been begun
    output wire  [ QidxW-1:0] begin_queue_o
);
  wire [31:0] hdr_bytes = hash_hdr_i ? 32'(HashHdrBytes) : 32'(HdrBytes);
  wire [31:0] most_bytes = hdr_bytes + (tso_i ? 32'(GsoMaxBytes) : 32'(FrameMaxBytes));
  wire [31:0] least_bytes = hdr_bytes + 32'(FrameMinBytes);

  logic walking_q;  // descriptors of the chain are still in the cache
  logic [QidxW-1:0] queue_q;
  logic [QidxW-1:0] shown_q;  // whose descriptor desc_i is; of a chain that is being walked its queue
  logic cur_valid_q, cur_last_q, sof_q, over_q;
  logic [63:0] cur_addr_q;
  logic [31:0] cur_len_q;
  logic [15:0] cur_id_q, n_descs_q;
  logic [9:0] reads_q;
  logic [31:0] total_q;  // bytes of the chain up to and with the current descriptor

  // The current descriptor, cut at 256-byte lines.
  wire [8:0] to_line = 9'd256 - {1'b0, cur_addr_q[7:0]};
  wire piece_last = cur_len_q <= {23'd0, to_line};
  wire [8:0] piece = piece_last ? cur_len_q[8:0] : to_line;
  wire cur_done = over_q || piece_last;  // the last thing to do for this descriptor
  wire eof = cur_done && cur_last_q;
  wire need_slot = !over_q || cur_last_q;

  assign slot_valid   = cur_valid_q && need_slot && !halt_i;
  assign slot_read_o  = !over_q;
  assign slot_addr_o  = cur_addr_q;
  assign slot_bytes_o = over_q ? 9'd0 : piece;
  assign slot_sof_o   = sof_q;
  assign slot_eof_o   = eof;
  assign slot_short_o = total_q < least_bytes;
  assign slot_long_o  = over_q;
  assign slot_chain_o = '{vq: 7'(queue_q), id: cur_id_q, chain_descs: n_descs_q, len_bytes: 32'd0};

  wire advance = cur_valid_q && !halt_i && (slot_ready || !need_slot);
  wire load_ok = !cur_valid_q || (advance && cur_done);
  wire chain_ends = cur_valid_q && cur_last_q;
  wire fresh = !walking_q || chain_ends;  // the next descriptor begins a chain
  wire load = load_ok && !halt_i && (fresh ? pick_valid && pick_i == shown_q && desc_valid_i : 1'b1);
  wire walks_on = load ? desc_i.flags[DescNext] : !fresh;

  assign desc_queue_o     = walks_on ? shown_q : show_i;
  assign desc_pop_o       = load;
  assign begin_o          = load && fresh;
  assign begin_queue_o    = shown_q;
  assign busy_o           = walking_q && queue_q == busy_queue_i;

  wire [32:0] total_next = (fresh ? 33'd0 : {1'b0, total_q}) + {1'b0, desc_i.len};
  wire over_next = total_next > {1'b0, most_bytes} || (!fresh && over_q);

  // Reads of the chain: lines that each descriptor touches, and one of the table that it came out of. What is too long
  // is charged as the longest chain, whose reads are fewer than 1,024: its lines, and two for each of 128 descriptors.
  localparam logic [16:0] ChargeLeast = 17'd60;
  wire [9:0] lines = over_next ? 10'd0 : 10'((18'(desc_i.addr[7:0]) + desc_i.len[17:0] + 18'd255) >> 8);
  wire [9:0] reads_next = (fresh ? 10'(desc_indirect_i) : reads_q) + lines;
  wire [31:0] charge = over_next ? most_bytes : total_next[31:0];
  wire [16:0] bytes = charge > hdr_bytes ? 17'(charge - hdr_bytes) : '0;
  wire [17:0] cost = reads_next * 18'(read_cost_i);
  wire [16:0] dearer = cost > {1'b0, bytes} ? (cost[17] ? '1 : cost[16:0]) : bytes;
  assign charge_o       = load && !desc_i.flags[DescNext];
  assign charge_queue_o = shown_q;
  assign charge_bytes_o = dearer > ChargeLeast ? dearer : ChargeLeast;

  always_ff @(posedge clk) begin
    shown_q <= desc_queue_o;
    if (advance) begin
      cur_addr_q <= cur_addr_q + {55'd0, piece};
      cur_len_q  <= cur_len_q - {23'd0, piece};
      if (need_slot) sof_q <= 1'b0;
      if (cur_done) begin
        cur_valid_q <= 1'b0;
        if (cur_last_q) walking_q <= 1'b0;
      end
    end
    if (load) begin
      cur_valid_q <= 1'b1;
      cur_addr_q  <= desc_i.addr;
      cur_len_q   <= desc_i.len;
      cur_last_q  <= !desc_i.flags[DescNext];
      cur_id_q    <= desc_i.id;
      total_q     <= over_next ? most_bytes + 32'd1 : total_next[31:0];
      over_q      <= over_next;
      reads_q     <= reads_next;
      n_descs_q   <= fresh || desc_indirect_i ? 16'd1 : n_descs_q + 16'd1;
      walking_q   <= 1'b1;
      if (fresh) begin
        queue_q <= shown_q;
        sof_q   <= 1'b1;
      end
    end
    if (rst) begin
      cur_valid_q <= 1'b0;
      walking_q   <= 1'b0;
      over_q      <= 1'b0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && load && !desc_valid_i) $fatal(1, "%m chain: one that was begun is not whole at %0t", $time);
`endif
endmodule
`default_nettype wire
