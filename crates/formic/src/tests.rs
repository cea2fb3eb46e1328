mod logs;
mod plans;
mod stores;
