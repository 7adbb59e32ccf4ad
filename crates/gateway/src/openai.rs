//! OpenAI's chat completions: a turn said in them, and their streams read.

mod body;
mod calls;
mod chunk;
pub(crate) mod failure;
pub(crate) mod request;

pub(crate) use body::Body;
pub(crate) use chunk::Decoder;
