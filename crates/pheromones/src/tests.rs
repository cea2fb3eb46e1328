mod attempts;
mod choosing;
mod harness;
mod properties;
mod sharing;
mod spread;
mod worker;
