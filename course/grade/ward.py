"""What ails a blind patient: the judge's side of `course.patients`, which a notebook has no use for.

leaves(ward("Ada Lovelace")["A"])          # the leaves of the tree that its faults end in; none if healthy
"""

from __future__ import annotations

from dataclasses import fields

from course.draw import faults_of, healthy_config
from course.patients import Patient
from minigpt.faults import Fault


def leaves(patient: Patient) -> set[str]:
    """Return the leaves that its faults end in; none for the healthy one."""
    return {fault.leaf for fault in _faults(patient)}


def sick_parts(patient: Patient) -> set[str]:
    """Return the parts of the loop that its faults broke; "config" stands for a setting."""
    return {fault.part for fault in _faults(patient)}


def sick_settings(patient: Patient) -> set[str]:
    """Return the settings that its faults moved."""
    ill, healthy = patient.config, healthy_config(patient.lesson, patient.name, patient.letter)
    names = (field.name for field in fields(ill))
    return {name for name in names if getattr(ill, name) != getattr(healthy, name)}


def _faults(patient: Patient) -> list[Fault]:
    return faults_of(patient.lesson, patient.name, patient.letter)
