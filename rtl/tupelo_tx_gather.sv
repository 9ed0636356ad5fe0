// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_gather - joins the pieces of a transmit chain, takes its header off, and hands on the frame, beat by beat
// Guarantees: one beat of read data a cycle; frames and completions in the order of the slots; every chain gives
//   exactly one m_last. A chain with a read error stops its queue and is marked to be dropped; behind it nothing of
//   that queue is sent or completed. Too short or too long: marked to be dropped, and completed. A marked chain's
//   bytes are of no meaning.
// Clock/reset: clk; rst synchronous, active high.
// Contract: note_t is what tupelo_tx_read said of the slot. There is room for >= 8 more beats when fifo_ok_i.
// How: byte b of the stream goes to byte (b - header) modulo the beat, so the header ends an imagined beat of its own
//   that is looked at and not sent, and the frame starts at byte 0. A frame's tail that needs one more beat goes out
//   while the next frame's header is taken in, so a frame costs no more beats than its chain has.
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
    input  wire               hash_hdr_i,    // the header has 20 bytes
    input  wire               start_i,
    input  wire  [ QidxW-1:0] start_queue_i,
    input  wire  [QUEUES-1:0] stopped_i,
    // beats announced by tupelo_rd_slots
    output wire               go_o,
    input  wire               n_valid,
    input  wire  [ NoteW-1:0] n_note,        // {chain, addr, bytes, sof, eof, short, long}
    input  wire               n_first,
    input  wire               n_last,
    input  wire               n_err,
    input  wire  [DATA_W-1:0] data_i,        // of the beat announced a cycle ago
    // the frame, without back-pressure
    input  wire               fifo_ok_i,
    output wire               m_valid,
    output wire  [DATA_W-1:0] m_data,
    output wire  [    PosW:0] m_bytes,
    output wire               m_first,
    output wire               m_last,
    output wire  vnet_hdr_t   m_hdr,         // with first
    output wire  vq_t         m_vq,
    output wire               m_drop,        // with last
    output logic [       5:0] m_drop_stat,   // with drop: index of the drop's counter
    // completions
    output wire               comp_valid,
    input  wire               comp_ok_i,     // room for 4 more
    output wire  completion_t comp_o,
    output wire  queue_error_t error_o
);
  // The header of 20 bytes needs two beats of 16.
  localparam logic [1:0] HashHdrBeats = BeatBytes < HashHdrBytes ? 2'd2 : 2'd1;

  completion_t n_chain;
  logic [63:0] n_addr;
  logic [8:0] n_bytes;
  logic n_sof, n_eof, n_short, n_long;
  assign {n_chain, n_addr, n_bytes, n_sof, n_eof, n_short, n_long} = n_note;

  // ---- stage 0: where the announced beat's bytes lie and where they go
  logic [PosW-1:0] fill_q;
  logic [8:0] left_q;  // bytes of the slot behind this beat
  logic [1:0] hdr_q;  // beats of the header not complete
  logic flush_q;

  wire [PosW-1:0] hdr_pos = hash_hdr_i ? PosW'(-HashHdrBytes) : PosW'(-HdrBytes);
  wire [PosW-1:0] lo = n_first ? n_addr[PosW-1:0] : '0;
  wire [PosW:0] space = (PosW + 1)'(BeatBytes) - {1'b0, lo};
  wire [8:0] left = n_first ? n_bytes : left_q;
  wire [PosW:0] n = left < 9'(space) ? left[PosW:0] : space;
  wire begins = n_first && n_sof;
  wire [PosW-1:0] fill = begins ? hdr_pos : fill_q;
  wire [1:0] hdr = !begins ? hdr_q : hash_hdr_i ? HashHdrBeats : 2'd1;
  wire [PosW+1:0] reach = {2'b00, fill} + {1'b0, n};
  wire completes = reach >= (PosW + 2)'(BeatBytes);
  wire eof = n_eof && n_last;
  wire flush = eof && reach > (PosW + 2)'(BeatBytes);

  // Beside a flush only a beat that sends nothing may come: one that is not its chain's end.
  assign go_o = fifo_ok_i && comp_ok_i && !(flush_q && eof);

  // ---- stage 1: the data is there
  logic v1_q, completes1_q, eof1_q, err1_q, short1_q, long1_q, flush1_q;
  logic [1:0] hdr1_q;
  logic [PosW-1:0] fill1_q, lo1_q;
  logic [PosW+1:0] reach1_q;
  logic [63:0] addr1_q;
  completion_t chain1_q;

  logic [DATA_W-1:0] acc_q;
  logic bad_q, began_q;
  logic [63:0] bad_addr_q;
  logic [31:0] hdr_low_q;
  vnet_hdr_t header_q;
  logic [QUEUES-1:0] dead_q;

  wire [PosW-1:0] turn = fill1_q - lo1_q;  // bytes to the left, modulo the beat
  wire [BeatBytes-1:0] upper = {BeatBytes{1'b1}} << fill1_q;  // bytes that come from this beat
  logic [DATA_W-1:0] turned, mix;
  always_comb begin
    turned = '0;
    mix = acc_q;
    if (v1_q) begin
      turned = data_i;
      for (int s = 0; s < PosW; s++) if (turn[s]) turned = (turned << (8 << s)) | (turned >> (DATA_W - (8 << s)));
      for (int b = 0; b < BeatBytes; b++) if (upper[b]) mix[8*b+:8] = turned[8*b+:8];
    end
  end

  wire emit = v1_q && hdr1_q == 2'd0 && (completes1_q || (eof1_q && reach1_q != '0));
  wire [PosW:0] emit_bytes = completes1_q ? (PosW + 1)'(BeatBytes) : reach1_q[PosW:0];
  wire last1 = v1_q && eof1_q && !(completes1_q && reach1_q > (PosW + 2)'(BeatBytes));  // nothing left to flush
  wire bad1 = bad_q || (v1_q && err1_q);
  wire [63:0] bad_addr1 = bad_q ? bad_addr_q : addr1_q;

  // ---- the chain's end, in stage 1 or a cycle later with its tail
  logic fl_bad_q, fl_short_q, fl_long_q;
  logic [PosW:0] fl_bytes_q;
  logic [63:0] fl_bad_addr_q;
  completion_t fl_chain_q;

  wire over = last1 || flush1_q;
  wire completion_t chain = flush1_q ? fl_chain_q : chain1_q;
  wire bad = flush1_q ? fl_bad_q : bad1;
  wire is_short = flush1_q ? fl_short_q : short1_q;
  wire is_long = flush1_q ? fl_long_q : long1_q;
  wire [QidxW-1:0] queue = chain.vq[QidxW-1:0];
  wire dead = dead_q[queue] || stopped_i[queue];
  wire [PosW:0] bytes = flush1_q ? fl_bytes_q : emit ? emit_bytes : (PosW + 1)'(1);

  assign m_valid = emit || over;
  assign m_data  = flush1_q ? acc_q : mix;
  assign m_bytes = bytes;
  assign m_first = !began_q;
  assign m_last  = over;
  assign m_hdr   = header_q;
  assign m_vq    = chain.vq;
  assign m_drop  = over && (bad || dead || is_short || is_long);
  always_comb begin
    if (bad || dead) m_drop_stat = 6'(STAT_TX_DROP_QUEUE_ERROR);
    else if (is_long) m_drop_stat = 6'(STAT_TX_DROP_LONG);
    else m_drop_stat = 6'(STAT_TX_DROP_SHORT);
  end

  assign comp_valid = over && !bad && !dead;
  assign comp_o     = chain;
  assign error_o    = '{valid: over && bad && !dead, vq: chain.vq, reason: STOP_REASON_DATA_READ, pos: '0,
                        addr: flush1_q ? fl_bad_addr_q : bad_addr1};

  // The header's first 12 bytes; a beat of 16 bytes holds the end of a header of 20 and the beat before its start.
  logic [95:0] header;
  always_comb begin
    header = mix[DATA_W-1-:96];
    if (hash_hdr_i)
      header = BeatBytes < HashHdrBytes ? {mix[63:0], hdr_low_q} : 96'(mix >> (DATA_W - 8 * HashHdrBytes));
  end

  always_ff @(posedge clk) begin
    flush_q <= n_valid && flush;
    if (n_valid) begin
      fill_q       <= reach[PosW-1:0];
      left_q       <= left - 9'(n);
      hdr_q        <= hdr - 2'(completes && hdr != 2'd0);
      completes1_q <= completes;
      hdr1_q       <= hdr;
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
      bad_q <= bad1 && !eof1_q;
      if (hdr1_q != 2'd0 && completes1_q) begin
        hdr_low_q <= mix[DATA_W-1-:32];
        header_q  <= header[79:0];
      end
      if (eof1_q) begin
        fl_bad_q      <= bad1;
        fl_bad_addr_q <= bad_addr1;
        fl_short_q    <= short1_q;
        fl_long_q     <= long1_q;
        fl_chain_q    <= chain1_q;
        fl_bytes_q    <= (PosW + 1)'(reach1_q - (PosW + 2)'(BeatBytes));
      end
    end
    if (m_valid) began_q <= !m_last;
    if (over && bad) dead_q[queue] <= 1'b1;
    if (start_i) dead_q[start_queue_i] <= 1'b0;
    if (rst) begin
      v1_q     <= 1'b0;
      flush_q  <= 1'b0;
      flush1_q <= 1'b0;
      bad_q    <= 1'b0;
      began_q  <= 1'b0;
      dead_q   <= '0;
    end
  end
  wire unused = &{1'b0, header[95:80]};
endmodule
`default_nettype wire
