mod bad_input;
mod detection;
mod model;
mod pauses;
mod quorum;
mod views;
mod world;
