//! The whole server over real connections: what a client of the SDKs can not see.

#[cfg(test)]
#[path = "api/app.rs"]
mod app;
#[cfg(test)]
#[path = "api/auth.rs"]
mod auth;
#[cfg(test)]
#[path = "api/bodies.rs"]
mod bodies;
#[cfg(test)]
#[path = "api/command_line.rs"]
mod command_line;
#[cfg(test)]
#[path = "api/connections.rs"]
mod connections;
#[cfg(test)]
#[path = "api/layers.rs"]
mod layers;
#[cfg(test)]
#[path = "api/operations.rs"]
mod operations;
#[cfg(test)]
#[path = "api/process.rs"]
mod process;
#[cfg(test)]
#[path = "api/program.rs"]
mod program;
#[cfg(test)]
#[path = "api/restart.rs"]
mod restart;
#[cfg(test)]
#[path = "api/routes.rs"]
mod routes;
#[cfg(test)]
#[path = "api/secrets.rs"]
mod secrets;
