"""Image sets: procedural scenes and folders of images."""
