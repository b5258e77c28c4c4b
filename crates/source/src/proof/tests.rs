//! What proves and refutes, against blocks that real nodes made and against a node that lies.

mod chain;
mod levels;
mod receipts;
