//! What clients send and get.

pub mod chat;
