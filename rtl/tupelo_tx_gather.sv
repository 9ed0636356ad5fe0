// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_gather - joins the pieces of a transmit chain, takes its header off, and hands over whole frames
// Guarantees: one beat of read data a cycle (one more cycle where a frame's tail needs a beat of its own); frames
//   and completions in the order of the slots. A frame with a read error stops its queue and is not sent; behind
//   it nothing of that queue is sent or completed. Too short, too long or a header that asks for an offload that
//   was not negotiated: dropped, counted and completed (VIRTIO 1.2 section 5.1.6.2).
// Clock/reset: clk; rst synchronous, active high.
// Contract: note_t is what tupelo_tx_read said of the slot. The frame FIFO holds >= 8 more beats when fifo_ok_i.
// How: byte b of the stream goes to byte (b - 12) modulo the beat, so the header falls into a beat of its own
//   that is looked at and not sent, and the frame starts at byte 0.
`default_nettype none
module tupelo_tx_gather
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,   // virtqueues, 2..128
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer QidxW  = $clog2(QUEUES),
    localparam integer BeatBytes = DATA_W / 8,
    localparam integer PosW = $clog2(BeatBytes),
    localparam integer NoteW = $bits(completion_t) + 64 + 9 + 4
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               start_i,
    input  wire  [ QidxW-1:0] start_queue_i,
    input  wire  [QUEUES-1:0] stopped_i,
    // beats announced by tupelo_rd_slots
    output wire               go_o,
    input  wire               n_valid,
    input  wire  [ NoteW-1:0] n_note,           // {chain, addr, bytes, sof, eof, short, long}
    input  wire               n_first,
    input  wire               n_last,
    input  wire               n_err,
    input  wire  [DATA_W-1:0] data_i,           // of the beat announced a cycle ago
    // frames
    input  wire               fifo_ok_i,
    output wire               m_valid,
    output wire  [DATA_W-1:0] m_data,
    output wire  [    PosW:0] m_bytes,
    output wire               m_last,
    output wire               m_abort,
    // completions
    output wire               comp_valid,
    input  wire               comp_ok_i,        // room for 4 more
    output wire  completion_t comp_o,
    output wire  queue_error_t error_o,
    // what became of each chain, one pulse a chain
    output wire               ended_o,
    output wire  [ QidxW-1:0] ended_queue_o,
    output wire  [      13:0] ended_bytes_o,
    output wire               sent_o,
    output logic [       5:0] drop_stat_o       // with ended_o and not sent_o: index of the drop's counter
);
  localparam logic [PosW:0] HdrPos = (PosW + 1)'(BeatBytes - HdrBytes);

  completion_t n_chain;
  logic [63:0] n_addr;
  logic [8:0] n_bytes;
  logic n_sof, n_eof, n_short, n_long;
  assign {n_chain, n_addr, n_bytes, n_sof, n_eof, n_short, n_long} = n_note;

  // ---- stage 0: where the announced beat's bytes lie and where they go
  logic [PosW-1:0] fill_q;
  logic [8:0] left_q;  // bytes of the slot behind this beat
  logic hdr_q, flush_q;

  wire [PosW-1:0] lo = n_first ? n_addr[PosW-1:0] : '0;
  wire [PosW:0] space = (PosW + 1)'(BeatBytes) - {1'b0, lo};
  wire [8:0] left = n_first ? n_bytes : left_q;
  wire [PosW:0] n = left < 9'(space) ? left[PosW:0] : space;
  wire begins = n_first && n_sof;
  wire [PosW-1:0] fill = begins ? HdrPos[PosW-1:0] : fill_q;
  wire hdr = begins || hdr_q;
  wire [PosW+1:0] reach = {2'b00, fill} + {1'b0, n};
  wire completes = reach >= (PosW + 2)'(BeatBytes);
  wire eof = n_eof && n_last;
  wire flush = eof && reach > (PosW + 2)'(BeatBytes);

  assign go_o = fifo_ok_i && comp_ok_i && !flush_q;

  // ---- stage 1: the data is there
  logic v1_q, completes1_q, hdr1_q, eof1_q, err1_q, short1_q, long1_q, begins1_q, flush1_q;
  logic [PosW-1:0] fill1_q, lo1_q;
  logic [PosW+1:0] reach1_q;
  logic [63:0] addr1_q;
  completion_t chain1_q;

  logic [DATA_W-1:0] acc_q;
  logic [13:0] bytes_q;
  logic bad_q, hdr_bad_q;
  logic [63:0] bad_addr_q;
  logic [QUEUES-1:0] dead_q;

  wire [PosW-1:0] turn = fill1_q - lo1_q;  // bytes to the left, modulo the beat
  wire [PosW+3:0] turn_bits = {1'b0, turn, 3'b000};
  wire [DATA_W-1:0] turned = (data_i << turn_bits) | (data_i >> ((PosW + 4)'(DATA_W) - turn_bits));
  wire [DATA_W-1:0] upper = {DATA_W{1'b1}} << {fill1_q, 3'b000};
  logic [DATA_W-1:0] mix;
  always_comb begin
    mix = acc_q;
    if (v1_q) mix = (acc_q & ~upper) | (turned & upper);
  end

  wire [QidxW-1:0] queue = chain1_q.vq[QidxW-1:0];
  wire emit = v1_q && !hdr1_q && (completes1_q || (eof1_q && reach1_q != '0));
  wire [PosW:0] emit_bytes = completes1_q ? (PosW + 1)'(BeatBytes) : reach1_q[PosW:0];
  wire last1 = v1_q && eof1_q && !(completes1_q && reach1_q > (PosW + 2)'(BeatBytes));  // nothing left to flush
  wire over = last1 || flush1_q;  // the chain ends in this cycle
  wire bad = bad_q || (v1_q && err1_q);
  wire dead = dead_q[queue] || stopped_i[queue];
  wire [95:0] header = mix[DATA_W-1-:96];
  wire drop = bad || dead || short1_q || long1_q || hdr_bad_q;

  assign m_valid = (emit || flush1_q) && !(over && drop);
  assign m_data  = flush1_q ? acc_q : mix;
  assign m_bytes = flush1_q ? reach1_q[PosW:0] : emit_bytes;
  assign m_last  = over;
  assign m_abort = over && drop;

  assign comp_valid    = over && !bad && !dead;
  assign comp_o        = chain1_q;
  assign error_o       = '{valid: over && bad && !dead, vq: chain1_q.vq, reason: STOP_REASON_DATA_READ, pos: '0,
                           addr: bad_q ? bad_addr_q : addr1_q};
  assign ended_o       = over;
  assign ended_queue_o = queue;
  assign ended_bytes_o = bytes_q + 14'(m_bytes);
  assign sent_o        = over && !drop;

  always_comb begin
    if (bad || dead) drop_stat_o = 6'(STAT_TX_DROP_QUEUE_ERROR);
    else if (long1_q) drop_stat_o = 6'(STAT_TX_DROP_LONG);
    else if (short1_q) drop_stat_o = 6'(STAT_TX_DROP_SHORT);
    else drop_stat_o = 6'(STAT_TX_DROP_HEADER);
  end

  always_ff @(posedge clk) begin
    flush_q <= n_valid && flush;
    if (n_valid) begin
      fill_q       <= reach[PosW-1:0];
      left_q       <= left - 9'(n);
      hdr_q        <= hdr && !completes;
      completes1_q <= completes;
      hdr1_q       <= hdr;
      begins1_q    <= begins;
      eof1_q       <= eof;
      err1_q       <= n_err;
      short1_q     <= n_short;
      long1_q      <= n_long;
      fill1_q      <= fill;
      lo1_q        <= lo;
      reach1_q     <= reach;
      addr1_q      <= n_addr;
      chain1_q     <= n_chain;
    end
    v1_q     <= n_valid;
    flush1_q <= flush_q;
    if (v1_q) begin
      acc_q <= completes1_q ? turned : mix;
      if (err1_q && !bad_q) bad_addr_q <= addr1_q;
      bad_q <= bad;
      if (hdr1_q && completes1_q) hdr_bad_q <= header[0] || header[15:8] != 8'd0;
      if (begins1_q && !(hdr1_q && completes1_q)) hdr_bad_q <= 1'b0;
      if (emit) bytes_q <= bytes_q + 14'(emit_bytes);
      if (flush_q) reach1_q <= reach1_q - (PosW + 2)'(BeatBytes);  // no beat is announced in this cycle
    end
    if (over) begin
      bad_q   <= 1'b0;
      bytes_q <= '0;
      if (bad) dead_q[queue] <= 1'b1;
    end
    if (start_i) dead_q[start_queue_i] <= 1'b0;
    if (rst) begin
      v1_q     <= 1'b0;
      flush_q  <= 1'b0;
      flush1_q <= 1'b0;
      hdr_q    <= 1'b0;
      bad_q    <= 1'b0;
      bytes_q  <= '0;
      dead_q   <= '0;
    end
  end
  wire unused = &{1'b0, header[95:16], header[7:1]};
endmodule
`default_nettype wire
