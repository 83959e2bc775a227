//! DLMS/COSEM client and meter emulator: HDLC, wrapper, APDUs and security.
//!
//! Nothing stands here yet. The room is kept free of I/O, clocks and random numbers.
#![forbid(unsafe_code)]
