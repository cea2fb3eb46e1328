//! Who is here and what they can do.
