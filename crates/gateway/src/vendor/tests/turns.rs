//! Turns of runs: what each vendor is asked, and what is read of what each answers.

mod asked;
mod read;
