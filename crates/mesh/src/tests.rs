mod bad_input;
mod join;
mod properties;
mod records;
mod world;
