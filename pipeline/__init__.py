"""From a speech competition's archives to scored submissions."""
