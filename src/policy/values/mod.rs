//! Values of the field: quantities, coordinates, images, paths.
