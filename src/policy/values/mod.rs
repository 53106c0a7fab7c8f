//! Values of the field: quantities, coordinates, images, paths.

pub mod quantity;
