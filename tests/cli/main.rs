//! The program, run as operators run it, on databases of the server that `DATABASE_URL` names.

mod databases;
mod import;
mod maintenance;
mod migrations;
mod program;
mod refusals;
mod terminal;
mod users;
