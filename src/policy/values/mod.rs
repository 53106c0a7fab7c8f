//! Values of the field: quantities, coordinates, images, labels, paths, shell words, times.

pub mod connect_arguments;
pub mod coordinates;
pub mod image;
pub mod label;
pub mod path;
pub mod quantity;
pub mod shell;
pub mod spark_build;
pub mod spark_memory;
pub mod spark_version;
pub mod timestamp;
