// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_plan - decides what becomes of the oldest frame in the buffer and issues the work for it beat by beat
// Guarantees: one operation a cycle, also from one frame or segment to the next; a frame that is not to be segmented
//   begins when it is whole, a segment when its payload is here and it is known whether more follows. A frame that
//   is dropped is given back as it comes in, whatever its length. Each chain has one job with `fate`, its last.
// Clock/reset: clk; rst synchronous, active high.
// Contract: v_verdict holds until v_ready; tupelo_tx_check keeps payload_offset <= 128 and payload_offset +
//   gso_size <= 9728 for segmentation. credit_i: the stages behind can take four more beats.
// How: the beat that leaves as number i of a segment with `shift` payload bytes before it holds bytes i * B + shift
//   onwards of the frame, so beat i + ceil(shift / B) is read for it, and the one before is still at hand. Beats of
//   pure header read for nothing. Only if payload lies in beat 0 must one beat be read ahead (`prime`).
`default_nettype none
module tupelo_tx_plan
  import tupelo_pkg::*;
  import tupelo_tx_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    parameter integer BEATS  = 256,  // of the buffer
    localparam integer PtrW = $clog2(BEATS) + 1
) (
    input  wire              clk,
    input  wire              rst,
    // the buffer
    input  wire              h_ended,
    input  wire  [     16:0] h_bytes,
    input  wire  [ PtrW-1:0] h_end,
    input  wire              h_drop,
    input  wire  [      5:0] h_drop_stat,
    output wire              h_pop,
    output wire              rel_valid,
    output wire  [ PtrW-1:0] rel_ptr,
    // verdicts
    input  wire              v_valid,
    output wire              v_ready,
    input  wire tx_verdict_t v_verdict,
    // operations
    input  wire              credit_i,
    output wire              op_valid,
    output wire tx_op_t      op_o,
    output wire tx_job_t     job_o,          // of this operation
    output wire  [ PtrW-1:0] op_ptr,         // beat to read
    // headers for segmentation
    output wire              hdr_begin_o,    // of v_verdict's frame, are going to be fetched
    input  wire              hdr_ready_i     // they have been looked at
);
  localparam integer StrbW = DATA_W / 8;
  localparam integer PosW = $clog2(StrbW);

  typedef enum logic {
    StIdle,  // the oldest frame has not been looked at
    StCut    // it is being segmented
  } state_e;

  // ---- the job being issued
  tx_job_t job_q;
  logic job_valid_q, first_q, priming_q;
  logic [9:0] left_q, idx_q;
  logic [PtrW-1:0] ptr_q;

  wire issue = job_valid_q && credit_i;
  wire final_op = left_q == 10'd1;
  wire slot_free = !job_valid_q || (issue && final_op);

  assign op_valid = issue;
  assign op_o     = '{first: first_q, last: final_op, emit: job_q.kind == JOB_FRAME && !priming_q, idx: idx_q};
  assign job_o    = job_q;
  assign op_ptr   = ptr_q;

  // ---- the oldest frame
  state_e state_q;
  logic [PtrW-1:0] base_q;  // its first beat
  logic [16:0] shift_q;
  logic [15:0] number_q;

  tx_job_t job;
  logic load, done, drain, drop;
  logic [5:0] drop_stat;
  logic [17:0] begins, ends;  // of the segment's payload in the frame
  logic [16:0] csum_ends;
  logic [PosW-1:0] rot;
  logic [13:0] out_bytes;
  logic last_seg;
  wire too_long = !v_verdict.tso && h_bytes > 17'(FrameMaxBytes);

  always_comb begin
    job       = '0;
    load      = 1'b0;
    done      = 1'b0;
    drain     = 1'b0;
    drop      = 1'b0;
    drop_stat = '0;
    begins    = '0;
    ends      = '0;
    csum_ends = '0;
    rot       = '0;
    out_bytes = '0;
    last_seg  = 1'b0;
    if (v_valid) begin
      begins        = 18'(v_verdict.payload_offset) + 18'(shift_q);
      ends          = begins + 18'(v_verdict.gso_size);
      csum_ends     = 17'(v_verdict.csum_start) + 17'(v_verdict.csum_offset) + 17'd2;
      last_seg      = h_ended && 18'(h_bytes) <= ends;
      job.vq        = v_verdict.vq;
      job.csum      = v_verdict.csum;
      job.tso       = v_verdict.tso;
      job.fate      = 1'b1;
      job.sent      = 1'b1;
      job.sum       = v_verdict.csum;
      job.sum_start = v_verdict.csum_start[13:0];
      job.sum_pos   = v_verdict.csum_start[13:0] + v_verdict.csum_offset[13:0];
      job.addr      = 11'(base_q);
      job.rel_end   = 11'(h_end);
      job.beats     = 10'd1;
      drop          = 1'b1;
      if (h_ended && h_drop) drop_stat = h_drop_stat;
      else if (v_verdict.drop) drop_stat = v_verdict.drop_stat;
      else if (too_long) drop_stat = 6'(STAT_TX_DROP_LONG);
      else if (h_ended && h_bytes == '0) drop_stat = 6'(STAT_TX_DROP_SHORT);
      else if (h_ended && v_verdict.tso && h_bytes < 17'(v_verdict.payload_offset))
        drop_stat = 6'(STAT_TX_DROP_HEADER);
      else if (h_ended && v_verdict.csum && !v_verdict.tso && csum_ends > h_bytes)
        drop_stat = 6'(STAT_TX_DROP_HEADER);
      else drop = 1'b0;

      if (drop) begin
        job.kind      = JOB_FATE;
        job.sent      = 1'b0;
        job.drop_stat = drop_stat;
        load          = h_ended && slot_free && (state_q == StIdle || hdr_ready_i);  // no header is on its way
        done          = load;
        drain         = !h_ended && !job_valid_q;
      end else if (!v_verdict.tso) begin
        load      = h_ended && slot_free;
        done      = load;
        out_bytes = h_bytes[13:0];
      end else if (state_q == StIdle) begin
        job.kind    = JOB_HEADER;
        job.fate    = 1'b0;
        job.rel_end = 11'(base_q);
        load        = h_bytes >= 17'(v_verdict.payload_offset) && slot_free;
        out_bytes   = 14'(v_verdict.payload_offset);
      end else begin
        load          = hdr_ready_i && (h_ended || 18'(h_bytes) > ends) && slot_free;
        done          = load && last_seg;
        out_bytes     = 14'(v_verdict.payload_offset) + v_verdict.gso_size[13:0];
        if (last_seg) out_bytes = h_bytes[13:0] - shift_q[13:0];
        rot           = shift_q[PosW-1:0];
        job.rot       = 6'(rot);
        job.hdr_bytes = v_verdict.payload_offset;
        job.shift     = shift_q;
        job.number    = number_q;
        job.first_seg = number_q == '0;
        job.last_seg  = last_seg;
        job.fate      = last_seg;
        job.sum       = 1'b1;
        job.sum_start = 14'(v_verdict.payload_offset);
        job.sum_pos   = 14'(v_verdict.l4_offset) + 14'd16;
        job.prime     = rot != '0 && 9'(v_verdict.payload_offset) + 9'(rot) < 9'(StrbW);
        job.addr      = 11'(PtrW'(base_q + PtrW'(shift_q >> PosW) + PtrW'(rot != '0) - PtrW'(job.prime)));
        if (!last_seg) job.rel_end = 11'(PtrW'(base_q + PtrW'(ends >> PosW)));
      end
      job.bytes = out_bytes;
      if (!drop) job.beats = 10'((out_bytes + 14'(StrbW - 1)) >> PosW);
    end
  end

  assign v_ready     = done;
  assign h_pop       = done;
  assign hdr_begin_o = load && job.kind == JOB_HEADER;

  // Beats are given back as they are read; the beat before may still be needed by the next segment.
  wire early = job_q.kind == JOB_FRAME && 15'({idx_q, {PosW{1'b0}}}) > 15'(job_q.hdr_bytes);
  assign rel_valid = drain || (issue && (final_op || early));
  assign rel_ptr   = drain ? h_end : final_op ? job_q.rel_end[PtrW-1:0] : ptr_q - 1'b1;

  always_ff @(posedge clk) begin
    if (issue) begin
      first_q   <= 1'b0;
      priming_q <= 1'b0;
      left_q    <= left_q - 1'b1;
      ptr_q     <= ptr_q + 1'b1;
      if (!priming_q) idx_q <= idx_q + 1'b1;
    end
    if (slot_free) job_valid_q <= load;
    if (load) begin
      job_q     <= job;
      first_q   <= 1'b1;
      priming_q <= job.prime;
      left_q    <= job.beats + 10'(job.prime);
      idx_q     <= '0;
      ptr_q     <= job.addr[PtrW-1:0];
      state_q   <= v_verdict.tso && !done ? StCut : StIdle;
      if (job.kind == JOB_FRAME) begin
        shift_q  <= shift_q + 17'(v_verdict.gso_size);
        number_q <= number_q + 1'b1;
      end
    end
    if (done) begin
      base_q   <= h_end;
      shift_q  <= '0;
      number_q <= '0;
    end
    if (rst) begin
      job_valid_q <= 1'b0;
      state_q     <= StIdle;
      base_q      <= '0;
      shift_q     <= '0;
      number_q    <= '0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && load && job.kind == JOB_FRAME && v_verdict.tso && (v_verdict.gso_size == '0 ||
        v_verdict.payload_offset > 8'd128 || out_bytes > 14'(FrameMaxBytes)))
      $fatal(1, "%m verdict: a frame cannot be segmented like this at %0t", $time);
`endif
  wire unused = &{1'b0, v_verdict.ipv6, v_verdict.l3_offset};
endmodule
`default_nettype wire
