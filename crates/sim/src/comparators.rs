//! Other ways to know when all is done, to see which schedule breaks them.
