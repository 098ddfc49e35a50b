# The public names and where they stand: for type checkers, and for __init__.py, which imports a
# name when it is first used.
from .benchmarking.benchmark import benchmark as benchmark
from .benchmarking.page import write_scoreboard as write_scoreboard
from .estimators.aeon import AeonLSTMFCNClassifier as AeonLSTMFCNClassifier
from .estimators.sklearn import LSTMFCNClassifier as LSTMFCNClassifier
from .events.cut import cut as cut
from .events.partition import PartsConfig as PartsConfig
from .inference.evaluate import Evaluation as Evaluation
from .inference.evaluate import evaluate as evaluate
from .inference.export import export_model as export_model
from .inference.forecaster import Forecaster as Forecaster
from .inference.outputs import Forecast as Forecast
from .metrics.scores import Scores as Scores
from .metrics.scores import score as score
from .nn.config import PAPER as PAPER
from .nn.config import ModelConfig as ModelConfig
from .nn.model import LSTMFCN as LSTMFCN
from .problems.audit import Audit as Audit
from .problems.audit import audit as audit
from .problems.problem import Problem as Problem
from .problems.problem import available as available
from .problems.problem import card as card
from .problems.problem import load as load
from .problems.problem import save as save
from .problems.rule import EventRule as EventRule
from .problems.splits import make_parts as make_parts
from .readings.catalog import Catalog as Catalog
from .readings.catalog import read_catalog as read_catalog
from .readings.catalog import to_readings as to_readings
from .readings.catalog import write_catalog as write_catalog
from .readings.config import CatalogConfig as CatalogConfig
from .readings.config import LogConfig as LogConfig
from .readings.config import SourceConfig as SourceConfig
from .readings.etas import EtasConfig as EtasConfig
from .readings.etas import simulate as simulate
from .readings.sensor_logs import load_readings as load_readings
from .readings.series import Readings as Readings
from .reporting.report import write_report as write_report
from .run import Run as Run
from .run import RunError as RunError
from .training.config import PRESETS as PRESETS
from .training.config import FitConfig as FitConfig
from .training.config import TrainConfig as TrainConfig
from .training.loop import DivergedError as DivergedError
from .training.pipeline import train as train

__version__: str
