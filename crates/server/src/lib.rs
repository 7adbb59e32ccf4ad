//! The HTTP server, its configuration, and the loomgate program.
