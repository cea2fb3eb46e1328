mod bad_input;
mod clients;
mod exclusive;
mod jobs;
mod trails;
mod votes;
mod world;
