mod bad_input;
mod detection;
mod pauses;
mod quorum;
mod views;
mod world;
