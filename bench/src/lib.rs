//! What programs share that look at Loomgate from outside: processes that listen, numbers drawn
//! from a seed, results that are written into a document.
//!
//! What it is not: part of the product. `loomgate-bench` measures with it, `loomgate-chaos` breaks
//! things with it.

pub mod cluster;
pub mod document;
pub mod process;
pub mod statistics;
