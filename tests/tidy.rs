//! The house rules that no lint knows.

mod imports;
mod size;
mod text;
mod tree;
