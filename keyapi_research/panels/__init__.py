"""Panels: studies that go on, round by round. What a round already has is not paid for again; missed stays missed.

A round is an interval of time. Answers observed in it, and final ones, belong to it, so a round that was cut off goes
on where it was. The store records what each round had to fetch, when it ran, when it was done, with which answers.
"""

from .shown import PanelPlan, PanelStatus
from .studies import Panel, panel

__all__ = ["Panel", "PanelPlan", "PanelStatus", "panel"]
