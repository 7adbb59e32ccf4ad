//! The whole server over real connections: what a client of the SDKs can not see.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod app;
#[cfg(test)]
mod attachments;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod database;
#[cfg(test)]
mod file_search;
#[cfg(test)]
mod file_search_vectors;
#[cfg(test)]
mod files;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod locked;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod process;
#[cfg(test)]
mod program;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod review;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod vector_stores;
