//! The program, run as operators run it.
