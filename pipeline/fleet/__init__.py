"""Stages on other machines: which may go, how inputs and outputs travel, and what Ray does."""
