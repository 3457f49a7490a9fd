from ._errors import BenchError
from ._predictor import Answer, Predictor, load_model

__all__ = ["Answer", "BenchError", "Predictor", "load_model"]
