//! Who does what: placement, queues, backpressure, dependencies.
