//! What only PostgreSQL has: a line that breaks, other processes, users and their rights.

mod conflicts;
mod lines;
mod pgvector;
mod races;
mod restart;
mod schemas;
mod security;
mod sharing;
