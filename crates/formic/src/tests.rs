mod clients;
mod faults;
mod harness;
mod jobs;
mod logs;
mod order;
mod plans;
mod stores;
