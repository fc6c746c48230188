"""The frameworks' names for the losses; importing this package fills the table of symbols."""

from importlib import import_module
from pkgutil import iter_modules

from lossmeter.core import losses as losses
from lossmeter.dialects.symbols import SYMBOLS as SYMBOLS

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
