//! `fixtures/jt808` through `protocols` and through `decode`: frames that public projects test
//! against, and streams of them.

mod corpus;
mod document;
mod frames;
mod hostile;
mod reassembly;
mod streams;
