//! Values of the field: quantities, coordinates, images, paths.

pub mod connect_arguments;
pub mod coordinates;
pub mod image;
pub mod path;
pub mod quantity;
pub mod spark_version;
