"""The benchmark: training models on a store, and using them.

model = bench.load_model("results")
for answer in model.predict(["photo.jpg"]):
    print(answer.image, answer.label, answer.probabilities)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
