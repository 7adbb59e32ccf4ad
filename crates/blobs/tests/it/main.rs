//! Objects in both kinds of place.

#[cfg(test)]
mod objects;
