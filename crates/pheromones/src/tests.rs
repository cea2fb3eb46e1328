mod attempts;
mod choosing;
mod harness;
mod properties;
mod sharing;
mod worker;
