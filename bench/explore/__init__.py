"""A local web page to look at a store and at what models say of its images."""
