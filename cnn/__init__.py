"""Networks trained end to end on a store's images."""
