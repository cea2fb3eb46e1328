mod logs;
mod plans;
mod stores;
mod harness;
mod jobs;
