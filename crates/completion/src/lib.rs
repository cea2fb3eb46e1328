//! Know when all is done: ledger Dijkstra-Scholten.
