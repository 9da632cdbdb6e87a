"""Plugins for sparknn-magic. Nothing is imported here: each plugin is loaded alone, when a cell names it."""
