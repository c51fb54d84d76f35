//! `fixtures/jt808` through `protocols` and through `decode`: frames that public projects test
//! against, and streams of them. `fixtures/fuzz` through the properties of fuzzing.

mod corpus;
mod document;
mod frames;
mod fuzz_corpus;
mod hostile;
mod reassembly;
mod streams;
