"""Runs, their journal, replay and streams; no notebook and no database here."""
