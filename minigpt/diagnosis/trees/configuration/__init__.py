"""The configuration tree (Phase 18): is the run set up correctly?"""
