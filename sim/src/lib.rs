//! A simulated world.
#![allow(dead_code)]
mod cable;
mod clock;
mod interface;
mod namespace;
mod neighbour;
mod socket;
mod stack;
mod wire;
