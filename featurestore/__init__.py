"""A store of images, embeddings and labels for work on the emotions that images evoke.

source = featurestore.read_source("sample")
store = featurestore.extract(source, "features.zarr")
X, y = store.embeddings()[:], store.labels

Names are loaded when they are first used: predicting needs no store, and a store no backbone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
