"""Leaderboards: pure functions from result files to a table and a page."""
