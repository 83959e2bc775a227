//! The host's machine against the emulated module, with a clock that the test moves.

