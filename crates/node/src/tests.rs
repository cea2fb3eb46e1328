mod bad_input;
mod clients;
mod exclusive;
mod jobs;
mod votes;
mod world;
