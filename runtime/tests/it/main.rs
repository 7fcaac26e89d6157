//! Tests of the runtime through its public interface.

mod data;
