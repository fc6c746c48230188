"""The frameworks' names for the losses; importing this package fills the table of symbols."""

from lossmeter.core import losses as losses
from lossmeter.dialects import keras as keras
from lossmeter.dialects import torch as torch
