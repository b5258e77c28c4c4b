//! Receipts, filters, plans and the whole table of what is noticed, against blocks that real nodes made and a node that lies.

mod chain;
mod levels;
mod receipts;
