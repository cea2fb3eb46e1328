mod bad_input;
mod detection;
mod model;
mod pauses;
mod processes;
mod quorum;
mod views;
mod world;
