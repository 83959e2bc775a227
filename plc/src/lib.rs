//! PLC and RF mesh networks: G3-PLC, PRIME, Wirepas and Wi-SUN, their routes, the poll scheduler and a simulator.
//!
//! Nothing stands here yet. The room is kept free of I/O, clocks and random numbers, and carries opaque payloads only.
#![forbid(unsafe_code)]
