from tests.evaluate.conftest import make as make
