//! Integration tests: one binary, one module per counterpart or property.

mod modbus;
