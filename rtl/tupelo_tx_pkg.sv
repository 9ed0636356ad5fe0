// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_pkg - what the stages of the segmenter tell each other
`default_nettype none
package tupelo_tx_pkg;
  import tupelo_pkg::*;

  typedef enum logic [1:0] {
    JOB_FRAME  = 2'd0,  // send a frame or one segment of it
    JOB_HEADER = 2'd1,  // fetch the headers of a frame that is to be segmented
    JOB_FATE   = 2'd2   // nothing to send: a chain was dropped
  } tx_job_e;

  // One piece of work: tupelo_tx_plan makes it, the stages behind take it along with its first operation.
  typedef struct packed {
    tx_job_e      kind;
    logic [9:0]   beats;  // operations without the priming one
    logic         prime;  // one operation before the first beat leaves, so that two beats are at hand
    logic [10:0]  addr;  // first beat to read
    logic [10:0]  rel_end;  // the buffer may forget what lies before this beat after the last operation
    logic [13:0]  bytes;  // of the frame that leaves
    logic [5:0]   rot;  // byte of the beat read that goes to byte 0
    // segmentation
    logic [7:0]   hdr_bytes;  // 0: the headers go with the rest
    logic [16:0]  shift;  // payload bytes in the segments before
    logic [15:0]  number;  // segments before
    logic         first_seg;
    logic         last_seg;
    // checksum
    logic         sum;
    logic [13:0]  sum_start;
    logic [13:0]  sum_pos;  // where it is to be written
    // the chain, with its last job
    logic         fate;
    logic         sent;
    logic [5:0]   drop_stat;
    vq_t          vq;
    logic         csum;
    logic         tso;
  } tx_job_t;

  // One cycle's work at the buffer.
  typedef struct packed {
    logic       first;  // of its job
    logic       last;
    logic       emit;  // a beat leaves
    logic [9:0] idx;  // number of the beat that leaves, or of the header beat
  } tx_op_t;

  // Ones' complement sum in 16 bits; 0 only if the sum is 0.
  function automatic logic [15:0] fold32(input logic [31:0] sum);
    logic [16:0] once;
    once   = {1'b0, sum[15:0]} + {1'b0, sum[31:16]};
    fold32 = once[15:0] + {15'd0, once[16]};
  endfunction

  function automatic logic [15:0] swap16(input logic [15:0] word);
    swap16 = {word[7:0], word[15:8]};
  endfunction
endpackage
`default_nettype wire
