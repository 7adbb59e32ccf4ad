//! What `file_search` computes: everything between a text and a ranking that needs neither a
//! database nor a network.
//!
//! Not here: documents' formats (`loomgate-extract`), SQL and full text indices (`loomgate-store`),
//! embeddings by a provider (`loomgate-gateway`), the tool itself (`loomgate-engine`).
//!
//! The way of a text: [`chunks`] cuts it up; [`embed`] gives each chunk a vector, [`lexical`] its
//! words. The way of a query: [`vector`] and the store's full text index each rank the chunks that
//! a [`filter`] lets through, and [`fuse`] makes one ranking of both.
//!
//! Invariant: the only IO is reading a model's folder; there is no clock, no randomness, no async,
//! and every type is `Send` and `Sync`.
//!
//! Figures of all of it: `examples/search_bench.rs`.

mod chunk;
pub mod embed;
pub mod filter;
pub mod fuse;
pub mod lexical;
mod tokens;
pub mod vector;

pub use chunk::{
    Chunk, ChunkingStrategy, Chunks, DEFAULT_TOKEN_LIMIT, StrategyError, TooManyTokens, chunks,
};
