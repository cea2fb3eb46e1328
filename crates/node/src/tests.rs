mod bad_input;
mod clients;
mod jobs;
mod world;
