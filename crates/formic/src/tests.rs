mod logs;
mod plans;
mod stores;
mod harness;
mod jobs;
mod clients;
mod faults;
mod order;
