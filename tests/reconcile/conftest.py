from tests.serve.conftest import bundle_folder as bundle_folder
from tests.serve.conftest import server as server
